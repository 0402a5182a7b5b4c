import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bulk, command, ReplyScanner, type Reply } from './resp.ts';
import { CommandBuffer } from './resp_writer.ts';

const text = fc.string({ unit: 'binary', maxLength: 20 });
const line = text.map((s) => s.replaceAll(/[\r\n]/g, ' '));
const wire = (reply: Reply, ids: readonly string[]): string => {
  if (reply.kind === 'null') return '*-1\r\n';
  if (reply.kind === 'error') return `-${reply.message}\r\n`;
  if (reply.kind === 'array') {
    const items = Array.from({ length: reply.length }, (_, i) =>
      i === 0 && reply.error !== null ? `-${reply.error}\r\n` : bulk(ids[i % ids.length] ?? ''),
    );
    return `*${reply.length}\r\n${items.join('')}`;
  }
  return typeof reply.value === 'number' ? `:${reply.value}\r\n` : bulk(reply.value);
};
const replies: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({ kind: fc.constant('ok' as const), value: fc.oneof(text, fc.integer()) }),
  fc.record({ kind: fc.constant('error' as const), message: line }),
  fc.record({ kind: fc.constant('null' as const) }),
  fc.record({ kind: fc.constant('array' as const), length: fc.integer({ min: 1, max: 5 }), error: fc.option(line) }),
);

it('reads the same replies however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(replies, { maxLength: 8 }),
      fc.array(text, { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(40), { minLength: 1 }),
      (sent, ids, cuts) => {
        const bytes = Buffer.from(sent.map((reply) => wire(reply, ids)).join(''));
        const scanner = new ReplyScanner();
        const read: Reply[] = [];
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const next = at + 1 + cuts[i % cuts.length]!;
          read.push(...scanner.push(bytes.subarray(at, next)));
          at = next;
        }
        expect(read).toEqual(sent);
      },
    ),
  );
});

it('refuses what is no RESP2', () => {
  expect(() => new ReplyScanner().push(Buffer.from('HTTP/1.1 400\r\n'))).toThrow('no RESP2 reply');
});

it('writes what the plain encoder writes, whatever the texts', () => {
  const head = Buffer.from('*2\r\n$1\r\nX\r\n');
  const any = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 120 }),
    fc.string({ unit: 'grapheme', maxLength: 1200 }),
    fc.constantFrom('', 'é'.repeat(60), 'x'.repeat(9999)),
  );
  fc.assert(
    fc.property(fc.array(any, { maxLength: 10 }), (texts) => {
      const out = new CommandBuffer(16);
      out.command('OTHER', 1);
      out.clear();
      for (const text of texts) out.commandWith(head, text);
      out.command('Y', ...texts, 7);
      const expected = texts.map((text) => head.toString() + bulk(text)).join('') + command('Y', ...texts, 7);
      expect(out.bytes().toString('hex')).toBe(Buffer.from(expected).toString('hex'));
    }),
  );
});

it('writes lengths in bytes, not characters', () => {
  expect(command('SET', 'k', 'é', 7)).toBe('*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\né\r\n$1\r\n7\r\n');
});
