// `npm run doctor [-- --json]`: what is wrong with this installation, and what to do about it. Exit code 1 when a row fails.
import { UsageError, toError } from '../core/errors.ts';
import { fail, type Finding } from '../core/finding.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig } from '../runtime/env.ts';
import { examineAll } from './doctor/examination.ts';

function show(found: readonly Finding[]): void {
  const width = Math.max(...found.map(({ name }) => name.length));
  const marks = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' };
  for (const { name, level, detail, remedy } of found) {
    process.stdout.write(`${marks[level]}  ${name.padEnd(width)}  ${detail}\n`);
    if (remedy !== undefined) process.stdout.write(`      ${' '.repeat(width)}  → ${remedy}\n`);
  }
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== '--json');
  if (unknown !== undefined) throw new UsageError(`doctor: unexpected argument ${JSON.stringify(unknown)}; usage: npm run doctor [-- --json]`);
  const found = await examineAll(loadConfig(MARKETS), systemClock(), process.env).catch((error: unknown) => {
    if (error instanceof UsageError) throw error;
    return [fail('doctor', toError(error).message, 'this is a bug in doctor')];
  });
  const bad = found.some(({ level }) => level === 'fail');
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify({ ok: !bad, findings: found }, null, 2)}\n`);
  else show(found);
  return bad ? 1 : 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${toError(error).message}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
