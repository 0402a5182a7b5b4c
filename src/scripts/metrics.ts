// `npm run metrics`: docs/metrics.md out of the code's registrations. `--check` writes nothing and exits 1 when it is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsDocument, readRegistrations } from './observability/registrations.ts';

const ROOT = join(import.meta.dirname, '../..');
const TARGET = join(ROOT, 'docs/metrics.md');

/** Whether docs/metrics.md is what the code registers. */
export function metricsAreFresh(): boolean {
  return readFileSync(TARGET, 'utf8') === metricsDocument(readRegistrations(join(ROOT, 'src')));
}

if (import.meta.main) {
  const unknown = process.argv.slice(2).find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`metrics: unexpected argument ${JSON.stringify(unknown)}; usage: npm run metrics [-- --check]\n`);
    process.exitCode = 2;
  } else if (process.argv.includes('--check')) {
    if (!metricsAreFresh()) {
      process.stderr.write('metrics: docs/metrics.md is stale; run `npm run metrics`\n');
      process.exitCode = 1;
    }
  } else writeFileSync(TARGET, metricsDocument(readRegistrations(join(ROOT, 'src'))));
}
