// Servers that neither answer nor go away: SIGSTOP, as a paused container or a stalled disk does it. Linux only.
import { readdirSync, readFileSync } from 'node:fs';

/** A process and all that descend from it. */
function family(pid: number): number[] {
  const parents = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((name) => [Number(name), parentOf(name)] as const);
  const found = [pid];
  for (const parent of found) found.push(...parents.filter(([, p]) => p === parent).map(([child]) => child));
  return found;
}

function parentOf(pid: string): number {
  try {
    return Number(/^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]);
  } catch {
    return 0;
  }
}

/** Stops a server with everything it has started; returns what lets it go on. */
export function freeze(pid: number): () => void {
  const stopped = family(pid);
  for (const one of stopped) process.kill(one, 'SIGSTOP');
  return () => {
    for (const one of stopped) signalIfThere(one);
  };
}

function signalIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It was killed while it was frozen.
  }
}
