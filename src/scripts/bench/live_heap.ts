// What a process really holds: its heap after a collection, asked for over its inspector (`--inspect`).
import { once } from 'node:events';
import { WebSocket } from 'ws';

interface Target {
  webSocketDebuggerUrl: string;
}

/** MB in use after a full collection in the process whose inspector listens on `port` of loopback. */
export async function liveHeapMb(port: number): Promise<number> {
  const [target] = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as Target[];
  if (target === undefined) throw new Error(`nothing to inspect on port ${port}`);
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  try {
    await once(socket, 'open');
    await call(socket, 1, 'HeapProfiler.collectGarbage');
    const { usedSize } = (await call(socket, 2, 'Runtime.getHeapUsage')) as { usedSize: number };
    return usedSize / 2 ** 20;
  } finally {
    socket.close();
  }
}

async function call(socket: WebSocket, id: number, method: string): Promise<unknown> {
  socket.send(JSON.stringify({ id, method }));
  for (;;) {
    const [data] = (await once(socket, 'message')) as [Buffer];
    const answer = JSON.parse(data.toString()) as { id?: number; result?: unknown; error?: { message: string } };
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    if (answer.id === id) return answer.result;
  }
}
