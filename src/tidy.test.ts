// Style and architecture as tests: what nobody should have to remember.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { staleFiles } from './scripts/contracts.ts';
import { metricsAreFresh } from './scripts/metrics.ts';

const ROOT = join(import.meta.dirname, '..');
/** Imports point down this list only (left of itself, or inside the same folder). */
const LAYERS = ['contracts', 'core', 'runtime', 'net', 'bus', 'store', 'exchanges', 'services', 'simulator', 'scripts', 'testing'];
/** What the fleet's layers say of each other beyond the order: the simulator must stay an independent witness. */
const SIMULATOR_MAY_SEE = ['contracts', 'core', 'runtime', 'simulator'];
const MAX = { file: 300, test: 500, main: 60, line: 160 };

function walk(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? walk(path) : [path];
  });
}

const files = walk(join(ROOT, 'src'))
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.gen.ts'))
  .map((path) => ({ path: path.slice(ROOT.length + 1), text: readFileSync(path, 'utf8') }));
const sources = files.filter((file) => !file.path.endsWith('.test.ts'));

/** `file: why` for each offending file; the assertion then shows them all. */
function offenders(check: (file: { path: string; text: string }) => string | null, among = files): string[] {
  return among.flatMap((file) => {
    const why = check(file);
    return why === null ? [] : [`${file.path}: ${why}`];
  });
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

function importsOf(file: { path: string; text: string }): string[] {
  const specifiers = [...file.text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((m) => m[1]!);
  return specifiers.map((specifier) => normalize(join(dirname(file.path), specifier)));
}

const layerOf = (path: string): string => path.split('/')[1] ?? '';

describe('budgets', () => {
  it('keeps files short', () => {
    expect(
      offenders(({ path, text }) => {
        const limit = path.endsWith('.test.ts') ? MAX.test : path.endsWith('/main.ts') ? MAX.main : MAX.file;
        const lines = text.split('\n').length - 1;
        return lines > limit ? `${lines} lines, at most ${limit}` : null;
      }),
    ).toEqual([]);
  });

  it('keeps lines readable', () => {
    expect(
      offenders(({ text }) => {
        const at = text.split('\n').findIndex((line) => line.length > MAX.line);
        return at < 0 ? null : `line ${at + 1} is longer than ${MAX.line}`;
      }),
    ).toEqual([]);
  });
});

describe('architecture', () => {
  it('points imports down the layers', () => {
    expect(
      offenders((file) => {
        const own = LAYERS.indexOf(layerOf(file.path));
        const wrong = importsOf(file).find((target) => LAYERS.indexOf(layerOf(target)) > own);
        return wrong === undefined ? null : `imports ${wrong}`;
      }, sources.filter((file) => file.path.split('/').length > 2)),
    ).toEqual([]);
  });

  it('keeps services apart', () => {
    const service = (path: string): string | undefined => /^src\/services\/([^/]+)\//.exec(path)?.[1];
    expect(
      offenders((file) => {
        const own = service(file.path);
        const other = importsOf(file).find((target) => service(target) !== undefined && service(target) !== own);
        return own === undefined || other === undefined ? null : `imports ${other}`;
      }),
    ).toEqual([]);
  });

  it('keeps the simulator independent of what it checks', () => {
    expect(
      offenders((file) => {
        const wrong = importsOf(file).find((target) => !SIMULATOR_MAY_SEE.includes(layerOf(target)));
        return wrong === undefined ? null : `imports ${wrong}`;
      }, sources.filter((file) => file.path.startsWith('src/simulator/'))),
    ).toEqual([]);
  });

  it('imports contracts by their index alone', () => {
    expect(
      offenders((file) => {
        const wrong = importsOf(file).find((target) => target.startsWith('src/contracts/generated'));
        return wrong === undefined || file.path.startsWith('src/contracts/') ? null : `imports ${wrong}`;
      }),
    ).toEqual([]);
  });

  it('names exchanges only where they live', () => {
    const home =
      /^src\/(exchanges\/(deribit|binance|registry)|simulator\/|testing\/|scripts\/(backtest|bench|chaos)\/)|\.test\.ts$|^src\/runtime\/variables\.ts$/;
    expect(
      offenders(
        ({ text }) => /['"`/](deribit|binance)/i.exec(withoutComments(text))?.[0] ?? null,
        sources.filter((file) => !home.test(file.path)),
      ),
    ).toEqual([]);
  });

  it('has no source file that nobody reaches', () => {
    const reached = new Set(files.flatMap(importsOf));
    const entry = /\/main\.ts$|^src\/scripts\/[^/]+\.ts$|^src\/testing\/global-setup\.ts$/;
    expect(offenders(({ path }) => (reached.has(path) || entry.test(path) ? null : 'nothing imports it'), sources)).toEqual([]);
  });
});

describe('one home for each dangerous thing', () => {
  const only = (pattern: RegExp, home: RegExp): string[] =>
    offenders(({ text }) => pattern.exec(withoutComments(text))?.[0] ?? null, sources.filter((file) => !home.test(file.path)));

  it('process.env in runtime/env.ts (and in the tools that hand it to children)', () => {
    expect(only(/process\.env\b/, /^src\/(runtime\/env\.ts|scripts\/|testing\/)/)).toEqual([]);
  });
  it('clocks in runtime/clock.ts', () => {
    expect(only(/\bDate\.now\b|performance\.now\b|new Date\(\)/, /^src\/(runtime\/clock\.ts|scripts\/|testing\/)/)).toEqual([]);
  });
  it('randomness in runtime/service.ts (and the jitter of reconnecting)', () => {
    expect(only(/\bMath\.random\b/, /^src\/(runtime\/service\.ts|bus\/connect\.ts|scripts\/|testing\/)/)).toEqual([]);
  });
  it('no console', () => {
    expect(only(/\bconsole\.(log|info|warn|error|debug|trace|dir|table)\b/, /^$/)).toEqual([]);
  });
  it('no any, no ts-ignore, no disabled lint rule without a reason', () => {
    expect(only(/:\s*any\s*[;,)\]=>|{]|\bas any\b|<any>/, /^$/)).toEqual([]);
    expect(offenders(({ text, path }) => (path === 'src/tidy.test.ts' ? null : (/@ts-(ignore|nocheck)/.exec(text)?.[0] ?? null)))).toEqual([]);
  });
  it('SQL in store/ (and in the tools and tests that look)', () => {
    expect(only(/\b(INSERT INTO|SELECT .+ FROM|DELETE FROM|UPDATE \w+ SET)\b/, /^src\/(store|scripts|testing)\//)).toEqual([]);
  });
  it('sockets to exchanges in net/', () => {
    expect(only(/from 'ws'|\bfetch\(/, /^src\/(net|simulator|scripts|testing|services\/console\/public)\//)).toEqual([]);
  });
  it('Redis clients are made in bus/', () => {
    expect(only(/new Redis\(/, /^src\/(bus|testing|scripts\/bench)\//)).toEqual([]);
  });
});

describe('generated files', () => {
  it('are fresh', () => {
    process.chdir(ROOT);
    expect(staleFiles()).toEqual([]);
  });
});

describe('documents', () => {
  it('list every metric', () => {
    expect(metricsAreFresh(), 'docs/metrics.md is stale: npm run metrics').toBe(true);
  });
});
