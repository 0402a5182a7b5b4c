// Every metric that the code registers, read off its sources: a process shows only those of its own service, and some only once
// something has happened.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

export type Kind = 'counter' | 'gauge' | 'histogram';

export interface Registration {
  readonly name: string;
  readonly kind: Kind;
  readonly help: string;
  readonly labels: readonly string[];
  /** Where, relative to the folder that was read. */
  readonly file: string;
}

/** Which argument of each call names the labels (runtime/metrics.ts). */
const LABELS_AT: Readonly<Record<Kind, number>> = { counter: 2, gauge: 2, histogram: 3 };
const UNITS = ['seconds', 'bytes', 'ratio', 'level'];

/** All registrations below `folder`, by name; a name that is registered twice alike comes once. Throws on one whose help or labels cannot be read. */
export function readRegistrations(folder: string): Registration[] {
  const found = new Map<string, Registration>();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.endsWith('.gen.ts')) continue;
    const text = readFileSync(join(folder, file), 'utf8');
    if (!/\.(?:counter|gauge|histogram)\(/.test(text)) continue;
    for (const one of registrationsOf(file, text)) {
      const other = found.get(one.name);
      if (other !== undefined && (other.kind !== one.kind || other.help !== one.help)) {
        throw new Error(`${one.name}: ${one.file} and ${other.file} register it differently`);
      }
      found.set(one.name, one);
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those of one source text. */
export function registrationsOf(file: string, text: string): Registration[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Registration[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const kind = kindOf(node.expression.name.text);
      const [name, help] = node.arguments;
      if (kind !== null && name !== undefined && ts.isStringLiteralLike(name)) {
        if (help === undefined || !ts.isStringLiteralLike(help)) throw new Error(`${file}: the help of ${name.text} is no literal text`);
        const labels = node.arguments[LABELS_AT[kind]];
        found.push({ name: name.text, kind, help: help.text, labels: labels === undefined ? [] : labelsOf(source, labels, name.text), file });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function kindOf(word: string): Kind | null {
  return word === 'counter' || word === 'gauge' || word === 'histogram' ? word : null;
}

/** The texts of an array literal, or of the constant of that file which holds one. */
function labelsOf(source: ts.SourceFile, node: ts.Expression, metric: string): string[] {
  const list = ts.isIdentifier(node) ? constantOf(source, node.text) : node;
  if (list === null || !ts.isArrayLiteralExpression(list) || !list.elements.every(ts.isStringLiteralLike)) {
    throw new Error(`${source.fileName}: the labels of ${metric} are no literal texts`);
  }
  return list.elements.map((element) => (element as ts.StringLiteralLike).text);
}

function constantOf(source: ts.SourceFile, name: string): ts.Expression | null {
  let found: ts.Expression | null = null;
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.name.text === name) found = node.initializer ?? null;
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** What is wrong with a metric's name; null when it says of what kind and unit it is. */
export function nameProblem({ name, kind, help }: Registration): string | null {
  if (!/^[a-z]+(?:_[a-z0-9]+)+$/.test(name)) return 'not <service>_<what>';
  const last = name.slice(name.lastIndexOf('_') + 1);
  if (kind === 'counter') return last === 'total' ? null : 'a counter ends with _total';
  // A number of things is named by their plural; a flag says so in its help.
  const unit = UNITS.includes(last) || last.endsWith('s') || (kind === 'gauge' && /^1 (?:while|for)\b/.test(help));
  return unit ? null : 'its name carries no unit, and its help does not begin with "1 while"';
}

/** Series that Prometheus stores of a metric. */
export const seriesOf = ({ name, kind }: Registration): string[] =>
  kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];

const HEAD = `<!-- Generated from the code by \`npm run metrics\`. Do not edit. -->
# Metrics

Every process serves \`/metrics\` (Prometheus text), \`/healthz\` and \`/readyz\` on \`METRICS_HOST:METRICS_PORT\`. Names carry their unit; every
series has the label \`service\` beside those listed here. Besides these there are the Node.js defaults of prom-client (\`process_*\`, \`nodejs_*\`).
What is worth an alert stands in [ops/prometheus/alerts.yml](../ops/prometheus/alerts.yml), the dashboard in
[ops/grafana/dashboards](../ops/grafana/dashboards); \`docker compose --profile observability up\` runs both.

| metric | kind | labels | meaning |
|---|---|---|---|
`;

/** docs/metrics.md as the code stands. */
export function metricsDocument(registrations: readonly Registration[]): string {
  const row = ({ name, kind, labels, help }: Registration): string =>
    `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${help.replaceAll('|', '\\|')} |\n`;
  return HEAD + registrations.map(row).join('');
}
