import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntryParser, StreamEntry, type Reply } from './entry_parser.ts';

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const entry = (id: string, fields: string[] | null): string =>
  `*2\r\n${bulk(id)}${fields === null ? '*-1\r\n' : `*${fields.length}\r\n${fields.map(bulk).join('')}`}`;
const reply = (entries: string[]): string =>
  `*1\r\n*2\r\n${bulk('stream:market_data')}*${entries.length}\r\n${entries.join('')}`;

/** Feeds the text cut at the given places. */
function parse(text: string, cuts: readonly number[] = []): { entries: StreamEntry[]; replies: Reply[] } {
  const bytes = Buffer.from(text);
  const entries: StreamEntry[] = [];
  const parser = new EntryParser((found) => entries.push(found));
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const replies = places.slice(1).flatMap((end, n) => parser.feed(bytes.subarray(places[n] ?? 0, end)));
  return { entries, replies };
}

const told = ({ entries, replies }: ReturnType<typeof parse>): unknown => ({
  entries: entries.map(({ id, payload, gone }) => ({ id, payload, gone })),
  replies,
});

describe('replies of XREADGROUP', () => {
  it('are read the same however the socket cuts them', () => {
    const content = fc.tuple(
      fc.stringMatching(/^\d{1,13}-\d{1,4}$/),
      fc.oneof({ weight: 5, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) }, fc.constant(null)),
    );
    fc.assert(
      fc.property(
        fc.array(fc.array(content, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (batches, cuts) => {
          const text = batches
            .map((batch) =>
              reply(batch.map(([id, payload]) => entry(id, payload === null ? null : ['payload', payload]))),
            )
            .join('*-1\r\n');
          const flat = batches.flat();
          expect(told(parse(text, cuts))).toEqual({
            entries: flat.map(([id, payload]) => ({
              id,
              payload: payload === null ? null : Buffer.from(payload).toString(),
              gone: payload === null,
            })),
            replies: batches.flatMap((batch, n) => [
              ...(n > 0 ? [{ kind: 'entries', value: 0 }] : []),
              { kind: 'entries', value: batch.length },
            ]),
          });
        },
      ),
    );
  });

  it('keep the payload among other fields, its bytes when they are no text, and say when there is none', () => {
    const text = reply([
      entry('1-0', ['a', 'b', 'payload', 'x', 'payload', 'y']),
      entry('2-0', ['other', 'z']),
      entry('3-0', ['payload', '']),
    ]);
    expect(parse(text).entries.map(({ payload, gone }) => [payload, gone])).toEqual([
      ['x', false],
      [null, false],
      ['', false],
    ]);
    const broken = Buffer.concat([
      Buffer.from(`*1\r\n*2\r\n${bulk('s')}*1\r\n*2\r\n${bulk('9-9')}*2\r\n${bulk('payload')}$2\r\n`),
      Buffer.from([0xff, 0xfe, 13, 10]),
    ]);
    const entries: StreamEntry[] = [];
    new EntryParser((found) => entries.push(found)).feed(broken);
    expect(entries[0]?.payloadBytes()).toEqual(Buffer.from([0xff, 0xfe]));
  });

  it('may be larger than a slab, in any chunks', () => {
    const large = 'x'.repeat(3_500_000);
    const text = reply([
      entry('1-0', ['payload', 'before']),
      entry('2-0', ['payload', large]),
      entry('3-0', ['payload', 'after']),
    ]);
    const cuts = Array.from({ length: 60 }, (_cut, n) => n * 65_536);
    const { entries } = parse(text, cuts);
    expect(entries.map(({ payload }) => (payload === large ? 'large' : payload))).toEqual(['before', 'large', 'after']);
  });

  it('pass on errors and numbers', () => {
    expect(parse('-NOGROUP no such group\r\n+OK\r\n:42\r\n*-1\r\n').replies).toEqual([
      { kind: 'error', message: 'NOGROUP no such group' },
      { kind: 'number', value: 1 },
      { kind: 'number', value: 42 },
      { kind: 'entries', value: 0 },
    ]);
  });

  it('are refused when they are something else', () => {
    expect(() => parse('HTTP/1.1 400 Bad Request\r\n')).toThrow(/unexpected reply type "H"/);
    expect(() => parse('*1\r\n:5\r\n')).toThrow(/unexpected byte/);
  });
});
