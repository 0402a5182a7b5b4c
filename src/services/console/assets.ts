// What the browser loads: pages as they are, modules with their types stripped, the chart library out of its package. Everything
// is read once and kept, so that a request's path is looked up and never opened.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly gzipped: Buffer;
  readonly etag: string;
}

const FOLDER = join(import.meta.dirname, 'public');
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.ts': 'text/javascript; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const CHARTS = 'lightweight-charts';

function assetOf(type: string, text: string): Asset {
  const body = Buffer.from(text);
  return { type, body, gzipped: gzipSync(body), etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 20)}"` };
}

/** Assets by path below /assets/. Throws when a file of the package is missing. */
export function loadAssets(): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  const names = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'));
  withoutWarning(() => {
    for (const name of names) {
      const type = TYPES[extname(name)];
      if (type === undefined) continue;
      const text = readFileSync(join(FOLDER, name), 'utf8');
      assets.set(name, assetOf(type, extname(name) === '.ts' ? scriptOf(text) : text));
    }
  });
  const charts = createRequire(import.meta.url).resolve(`${CHARTS}/package.json`);
  assets.set(`${CHARTS}.js`, assetOf(TYPES['.js']!, readFileSync(join(charts, '../dist/lightweight-charts.standalone.production.mjs'), 'utf8')));
  return assets;
}

/** A browser resolves no names of packages, and an import map would have to be an inline script. */
const scriptOf = (source: string): string => stripTypeScriptTypes(source).replaceAll(`from '${CHARTS}'`, `from '/assets/${CHARTS}.js'`);

/** Node strips the types of this very program the same way, yet warns of the function's being experimental. */
function withoutWarning(work: () => void): void {
  const warn = process.emitWarning.bind(process);
  process.emitWarning = () => undefined;
  try {
    work();
  } finally {
    process.emitWarning = warn;
  }
}
