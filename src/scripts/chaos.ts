// npm run chaos: seeded runs of the executor against the simulator in virtual time, with faults and kills at any step. Exit code 1
// when an invariant broke; each failed seed is printed and can be run again alone.
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import { PLANTS, type Plant } from './chaos/life.ts';
import { chaosRun, type RunResult } from './chaos/run.ts';

interface ChaosOptions {
  runs: number;
  seed: number;
  plant: Plant | null;
  json: boolean;
}

const USAGE = `usage: npm run chaos -- [--runs 10000] [--seed 1] [--plant ${PLANTS.join('|')}] [--json]`;
const SHOWN = 20;

function readOptions(args: string[]): ChaosOptions {
  const { values } = parseArgs({
    args, options: { runs: { type: 'string' }, seed: { type: 'string' }, plant: { type: 'string' }, json: { type: 'boolean' } },
  });
  const plant = PLANTS.find((name) => name === values.plant) ?? null;
  if (values.plant !== undefined && plant === null) throw new UsageError(`--plant: "${values.plant}" is not one of ${PLANTS.join(', ')}`);
  return { runs: whole('--runs', values.runs ?? '10000', 1), seed: whole('--seed', values.seed ?? '1', 0), plant, json: values.json ?? false };
}

function whole(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text) || value < min) throw new UsageError(`${name}: "${text}" is not a whole number from ${min} to 999999999`);
  return value;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  const started = performance.now();
  const sums: Record<string, number> = {};
  const faults: Record<string, number> = {};
  const failed: RunResult[] = [];
  let lockedRuns = 0;
  for (let n = 0; n < options.runs; n++) {
    const result = await chaosRun(options.seed + n, options.plant);
    for (const [name, value] of Object.entries(result.figures)) sums[name] = (sums[name] ?? 0) + value;
    for (const [name, value] of Object.entries(result.faults)) faults[name] = (faults[name] ?? 0) + value;
    lockedRuns += result.locked === null ? 0 : 1;
    if (result.violations.length === 0) continue;
    failed.push(result);
    if (!options.json && failed.length <= SHOWN) {
      process.stdout.write(`seed ${result.seed}: ${result.violations.join('\n  ')}\n`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const report = { ...options, failed: failed.map(({ seed, violations }) => ({ seed, violations })), locked_runs: lockedRuns, seconds, sums, faults };
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(summary(options, failed.length, lockedRuns, seconds, sums, faults));
  return failed.length === 0 ? 0 : 1;
}

function summary(
  { runs, seed }: ChaosOptions, failed: number, locked: number, seconds: number, sums: Record<string, number>, faults: Record<string, number>,
): string {
  const listed = (counts: Record<string, number>): string => Object.entries(counts).map(([name, value]) => `${name} ${value}`).join(', ');
  const verdict = `${runs} runs from seed ${seed}: ${runs - failed} held, ${failed} broke an invariant; ${locked} locked for a cause`;
  return `${verdict}\n${listed(sums)}; ${seconds.toFixed(1)} s\nstruck: ${listed(faults)}\n`;
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error instanceof UsageError || (error as { code?: unknown }).code?.toString().startsWith('ERR_PARSE_ARGS') === true;
  process.stderr.write(`chaos: ${toError(error).message}\n${usage ? `${USAGE}\n` : ''}`);
  process.exitCode = usage ? 2 : 1;
}
