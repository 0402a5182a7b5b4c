// Paths of the command line.
import { resolve } from 'node:path';

/** An absolute path, from the folder that npm was called from: npm itself goes to the project's own before it runs a command. */
export function userPath(path: string, env: Readonly<Record<string, string | undefined>>): string {
  return resolve(env['INIT_CWD'] ?? '', path);
}
