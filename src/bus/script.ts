// Lua scripts: one file each in lua/, called by hash. A typed function per script lives beside the code that uses it and
// names its keys in the order of the file's header.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

export interface Script {
  readonly name: string;
  readonly text: string;
  readonly sha: string;
}

/** Reads lua/<name>.lua once, at import. */
export function loadScript(name: string): Script {
  const text = readFileSync(new URL(`lua/${name}.lua`, import.meta.url), 'utf8');
  return { name, text, sha: createHash('sha1').update(text).digest('hex') };
}

/** EVALSHA, and EVAL once when the server does not know the script (a restarted or flushed Redis). */
export async function runScript(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
    return redis.eval(script.text, keys.length, ...keys, ...args);
  }
}
