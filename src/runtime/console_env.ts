// What the console is configured with.
import { whole } from './env_values.ts';
import type { VariableName } from './variables.ts';

export interface ConsoleConfig {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Where the port can be reached from when that is not `host`: what a container publishes. */
  readonly published: string | null;
  readonly token: string | null;
}

/** Reads the variables of the console. Throws UsageError. */
export const consoleConfig = (read: (name: VariableName) => string): ConsoleConfig => ({
  host: read('CONSOLE_HOST'),
  port: whole('CONSOLE_PORT', read('CONSOLE_PORT'), 0, 65_535),
  published: read('CONSOLE_PUBLISHED') || null,
  token: read('CONSOLE_TOKEN') || null,
});
