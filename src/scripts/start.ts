// `npm start -- <service>`: one service in the foreground, configured by the environment alone. The simulator also takes its
// settings as options, which then stand above the environment: `npm start -- simulator --replay DIR --speed 10`.
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { loadConfig } from '../runtime/env.ts';
import { runService, type Start } from '../runtime/service.ts';
import { userPath } from './local/user_path.ts';

const SERVICES: Record<string, () => Promise<{ start: Start }>> = {
  receiver: () => import('../services/receiver/main.ts'),
  distributor: () => import('../services/distributor/main.ts'),
  analyzer: () => import('../services/analyzer/main.ts'),
  notifier: () => import('../services/notifier/main.ts'),
  backfill: () => import('../services/backfill/main.ts'),
  janitor: () => import('../services/janitor/main.ts'),
  governor: () => import('../services/janitor/govern.ts'),
  maintenance: () => import('./maintenance/main.ts'),
  executor: () => import('../services/executor/main.ts'),
  guard: () => import('../services/guard/main.ts'),
  console: () => import('../services/console/main.ts'),
  simulator: () => import('../simulator/main.ts'),
};

/** Options that name a file or folder. */
const PATHS: readonly string[] = ['ledger', 'replay'];

/** Options of `npm start -- simulator`, and the variables they stand for. */
const SIMULATOR_OPTIONS = {
  host: 'SIM_HOST', port: 'SIM_PORT', seed: 'SIM_SEED', rate: 'SIM_RATE', ledger: 'SIM_LEDGER', replay: 'SIM_REPLAY', speed: 'SIM_SPEED',
  faults: 'SIM_FAULTS',
} as const;

function simulatorSettings(args: string[]): Record<string, string> {
  const names = Object.keys(SIMULATOR_OPTIONS) as (keyof typeof SIMULATOR_OPTIONS)[];
  try {
    const { values } = parseArgs({ args, options: Object.fromEntries(names.map((option) => [option, { type: 'string' as const }])) });
    return Object.fromEntries(names.flatMap((option) => {
      const value = values[option];
      if (value === undefined) return [];
      return [[SIMULATOR_OPTIONS[option], PATHS.includes(option) && value !== '' ? userPath(value, process.env) : value]];
    }));
  } catch (error) {
    throw new UsageError(`${toError(error).message}; options: ${names.map((option) => `--${option}`).join(' ')}`);
  }
}

const [name = '', ...rest] = process.argv.slice(2);
const load = Object.hasOwn(SERVICES, name) ? SERVICES[name] : undefined;
if (load === undefined || (rest.length > 0 && name !== 'simulator')) {
  const wrong = load === undefined ? `unknown service ${JSON.stringify(name)}` : `unexpected argument ${JSON.stringify(rest[0])}`;
  process.stderr.write(`start: ${wrong}; usage: npm start -- <${Object.keys(SERVICES).join('|')}>\n`);
  process.exitCode = 2;
} else {
  load()
    .then(({ start }) => runService(name, () => loadConfig(MARKETS, undefined, simulatorSettings(rest)), start))
    .catch((error: unknown) => {
      process.stderr.write(`${name}: ${toError(error).stack ?? String(error)}\n`);
      process.exit(1);
    });
}
