// `npm start -- <service>`: one service in the foreground, configured by the environment alone.
import { toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { loadConfig } from '../runtime/env.ts';
import { runService, type Start } from '../runtime/service.ts';

const SERVICES: Record<string, () => Promise<{ start: Start }>> = {
  receiver: () => import('../services/receiver/main.ts'),
  distributor: () => import('../services/distributor/main.ts'),
  janitor: () => import('../services/janitor/main.ts'),
  simulator: () => import('../simulator/main.ts'),
};

const [name = '', ...rest] = process.argv.slice(2);
const load = Object.hasOwn(SERVICES, name) ? SERVICES[name] : undefined;
if (load === undefined || rest.length > 0) {
  const wrong = load === undefined ? `unknown service ${JSON.stringify(name)}` : `unexpected argument ${JSON.stringify(rest[0])}`;
  process.stderr.write(`start: ${wrong}; usage: npm start -- <${Object.keys(SERVICES).join('|')}>\n`);
  process.exitCode = 2;
} else {
  load()
    .then(({ start }) => runService(name, () => loadConfig(MARKETS), start))
    .catch((error: unknown) => {
      process.stderr.write(`${name}: ${toError(error).stack ?? String(error)}\n`);
      process.exit(1);
    });
}
