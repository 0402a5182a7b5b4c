// `npm run contracts`: docs/system_contracts.yml → src/contracts/generated/*.gen.ts.
// `--check` writes nothing and exits 1 when a generated file differs from what the yml says now.
import { readFileSync, writeFileSync } from 'node:fs';
import { jsonSchemaToZod, type JsonSchema } from 'json-schema-to-zod';
import { load } from 'js-yaml';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Schema = { [key: string]: Json };

interface TableSpec {
  columns: Record<string, string>;
}

interface Contracts {
  definitions: Record<string, Schema>;
  messages: Record<string, Schema>;
  redis_keys: Record<string, { kind: string; note?: string }>;
  tables: Record<string, TableSpec>;
}

const SOURCE = 'docs/system_contracts.yml';
const TARGET = 'src/contracts/generated';
const HEADER = `// Generated from ${SOURCE} by \`npm run contracts\`. Do not edit.\n`;

/** Column types of the tables section → what `pg` hands back for them (numeric and int8 stay strings: exactness). */
const COLUMN_TYPES: Record<string, string> = {
  int4: 'number', int8: 'string', text: 'string', numeric: 'string', bool: 'boolean', timestamptz: 'Date', date: 'string',
  jsonb: 'unknown', int8multirange: 'string',
};

function pascal(name: string): string {
  return name.replace(/(^|_)([a-z])/g, (_all, _sep: string, letter: string) => letter.toUpperCase());
}

function camel(name: string): string {
  const p = pascal(name);
  return p.charAt(0).toLowerCase() + p.slice(1);
}

/** Replaces each `$ref: '#/definitions/x'` by the definition, keeping what stands beside the reference. */
function inline(node: Json, definitions: Record<string, Schema>): Json {
  if (Array.isArray(node)) return node.map((child) => inline(child, definitions));
  if (node === null || typeof node !== 'object') return node;
  const { $ref, ...beside } = node;
  const own = Object.fromEntries(Object.entries(beside).map(([k, v]) => [k, inline(v, definitions)]));
  if (typeof $ref !== 'string') return own;
  const name = $ref.replace('#/definitions/', '');
  const target = definitions[name];
  if (target === undefined) throw new Error(`${SOURCE}: ${$ref} does not exist`);
  return { ...(inline(target, definitions) as Schema), ...own };
}

function zodOf(schema: Json): string {
  return jsonSchemaToZod(schema as JsonSchema, { module: 'none' }).replaceAll('z.any()', 'z.unknown()');
}

function describe(schema: Schema): string {
  return typeof schema['description'] === 'string' ? `/** ${schema['description'].trim().replaceAll('\n', ' ')} */\n` : '';
}

function messagesFile(contracts: Contracts): string {
  const parts = [HEADER, `import { z } from 'zod';\n`];
  for (const [name, schema] of Object.entries(contracts.definitions)) {
    if (!Array.isArray(schema['enum'])) continue;
    parts.push(`${describe(schema)}export const ${camel(name)}Values = ${JSON.stringify(schema['enum'])} as const;`);
    parts.push(`export type ${pascal(name)} = (typeof ${camel(name)}Values)[number];\n`);
  }
  for (const [name, schema] of Object.entries(contracts.messages)) {
    const full = inline(schema, contracts.definitions) as Schema;
    const properties = full['properties'] as Record<string, Schema>;
    const fields = Object.entries(properties).map(([key, value]) => `  ${key}: ${zodOf(value)}`);
    const required = new Set(full['required'] as string[]);
    const body = fields.map((line, i) => (required.has(Object.keys(properties)[i]!) ? `${line},` : `${line}.optional(),`));
    parts.push(`${describe(schema)}export const ${camel(name)}Schema = z.strictObject({\n${body.join('\n')}\n});`);
    parts.push(`export type ${pascal(name)} = z.infer<typeof ${camel(name)}Schema>;\n`);
  }
  return parts.join('\n');
}

/** `ticker:<market_id>:<symbol>` → a function of its parts; a name without parts → a constant. */
function keysFile(contracts: Contracts): string {
  const parts = [HEADER];
  for (const [pattern, spec] of Object.entries(contracts.redis_keys)) {
    const args = [...pattern.matchAll(/<([a-z_]+)>/g)].map((m) => camel(m[1]!));
    const name = camel(pattern.replace(/<[a-z_]+>/g, '').split(':').filter(Boolean).join('_'));
    const doc = `/** ${spec.kind}${spec.note === undefined ? '' : `: ${spec.note}`} */\n`;
    if (args.length === 0) parts.push(`${doc}export const ${name}Key = '${pattern}';\n`);
    else {
      const body = pattern.replace(/<([a-z_]+)>/g, (_all, arg: string) => `\${${camel(arg)}}`);
      parts.push(`${doc}export const ${name}Key = (${args.map((a) => `${a}: string`).join(', ')}): string => \`${body}\`;\n`);
    }
  }
  return parts.join('\n');
}

function tablesFile(contracts: Contracts): string {
  const parts = [HEADER];
  for (const [name, table] of Object.entries(contracts.tables)) {
    const fields = Object.entries(table.columns).map(([column, type]) => {
      const base = COLUMN_TYPES[type.replace('?', '')];
      if (base === undefined) throw new Error(`${SOURCE}: tables.${name}.${column}: unknown type ${type}`);
      return `  ${column}: ${base}${type.endsWith('?') ? ' | null' : ''};`;
    });
    parts.push(`export interface ${pascal(name)}Row {\n${fields.join('\n')}\n}\n`);
  }
  const columns = Object.entries(contracts.tables).map(([name, t]) => `  ${name}: ${JSON.stringify(t.columns)},`);
  parts.push(`/** Column name → type of each table; a trailing ? means nullable. */\nexport const TABLES = {\n${columns.join('\n')}\n} as const;\n`);
  return parts.join('\n');
}

/** All generated files as name → text; pure, so that `--check` and the tests compare without writing. */
export function generate(yml: string): Record<string, string> {
  const contracts = load(yml) as Contracts;
  return { 'messages.gen.ts': messagesFile(contracts), 'keys.gen.ts': keysFile(contracts), 'tables.gen.ts': tablesFile(contracts) };
}

/** Names of the generated files that differ from what the yml says now. */
export function staleFiles(): string[] {
  const files = generate(readFileSync(SOURCE, 'utf8'));
  return Object.entries(files).filter(([name, text]) => readIfThere(`${TARGET}/${name}`) !== text).map(([name]) => name);
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

if (import.meta.main) {
  const unknown = process.argv.slice(2).find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`contracts: unexpected argument ${JSON.stringify(unknown)}; usage: npm run contracts [-- --check]\n`);
    process.exitCode = 2;
  } else if (process.argv.includes('--check')) {
    const stale = staleFiles();
    if (stale.length > 0) {
      process.stderr.write(`contracts: ${stale.join(', ')} in ${TARGET} is stale; run \`npm run contracts\`\n`);
      process.exitCode = 1;
    }
  } else {
    for (const [name, text] of Object.entries(generate(readFileSync(SOURCE, 'utf8')))) writeFileSync(`${TARGET}/${name}`, text);
  }
}
