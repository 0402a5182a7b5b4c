import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { CopyWriter } from './binary.ts';
import { clientConfig } from './connect.ts';
import { copyBinary } from './copy.ts';

let database: FreshDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await freshDatabase('binary');
  client = new pg.Client(clientConfig(database.url, 'test'));
  await client.connect();
  await client.query('CREATE TABLE t (n int4, i int4, b int8, ts timestamptz, d numeric, s text)');
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const decimal = fc
  .tuple(fc.boolean(), fc.stringMatching(/^(0|[1-9]\d{0,29})$/), fc.option(fc.stringMatching(/^\d{1,30}$/), { nil: '' }))
  .map(([negative, whole, fraction]) => `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`);
const edges = ['0', '-0', '0.00', '-0.0', '1', '10000', '9999', '0.0001', '0.00010000', '100000000', '12345.6789', '-99999999.0001', '0.1234567',
  `${'9'.repeat(30)}.${'9'.repeat(30)}`, `0.${'0'.repeat(29)}1`];

describe('binary COPY', () => {
  it('stores what the server itself makes of the same text', async () => {
    const values = [...edges, ...fc.sample(decimal, 3000)];
    const micros = fc.sample(fc.integer({ min: 1_230_768_000_000_000, max: 4_102_444_800_000_000 }), values.length);
    const bigs = fc.sample(fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }), values.length);
    const ints = fc.sample(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), values.length);
    const texts = fc.sample(fc.string({ unit: 'grapheme', maxLength: 40 }).filter((s) => !s.includes('\0')), values.length);
    const writer = new CopyWriter(64);
    values.forEach((value, n) => {
      writer.row(6);
      writer.int4(n);
      writer.int4(ints[n]!);
      writer.int8(bigs[n]!);
      writer.micros(micros[n]!);
      writer.numeric(value);
      writer.text(texts[n]!);
    });
    expect(await copyBinary(client, 't', ['n', 'i', 'b', 'ts', 'd', 's'], writer.finish())).toBe(values.length);

    const { rows } = await client.query<Record<string, string>>(
      `SELECT n, i::text, b::text, (extract(epoch FROM ts) * 1000000)::int8::text AS us, d::text, s,
         d::text = w.value::numeric::text AS same_text, d::numeric(1000,100) = w.value::numeric AS same_value
       FROM t JOIN unnest($1::text[]) WITH ORDINALITY AS w(value, k) ON w.k = n + 1 ORDER BY n`,
      [values],
    );
    expect(rows).toHaveLength(values.length);
    rows.forEach((row, n) => {
      expect(row).toMatchObject({
        i: String(ints[n]), b: String(bigs[n]), us: String(micros[n]), s: texts[n], same_text: true, same_value: true,
      });
    });
  });

  it('stores nulls', async () => {
    const writer = new CopyWriter();
    writer.row(2);
    writer.int4(-7);
    writer.null();
    await copyBinary(client, 't', ['n', 'd'], writer.finish());
    expect((await client.query('SELECT d, s FROM t WHERE n = -7')).rows).toEqual([{ d: null, s: null }]);
  });

  it('rejects with the server\'s answer and leaves the connection usable', async () => {
    const writer = new CopyWriter();
    writer.row(1);
    writer.text('a\0b');
    await expect(copyBinary(client, 't', ['s'], writer.finish())).rejects.toMatchObject({ code: '22021' });
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });
});
