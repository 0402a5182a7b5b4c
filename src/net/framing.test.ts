import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameOf } from '../testing/frames.ts';
import { FrameScanner } from './framing.ts';

interface Found {
  opcode: number;
  isFinal: boolean;
  payload: string;
}

/** The frames in reads of these sizes; what is behind them comes in one. */
function scanned(scanner: FrameScanner, bytes: Buffer, sizes: readonly number[]): Found[] {
  const found: Found[] = [];
  let payload = '';
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const read = bytes.subarray(at, at + (sizes[n] ?? bytes.length));
    at += read.length;
    scanner.scan(read);
    while (scanner.next()) {
      payload += read.toString('latin1', scanner.from, scanner.to);
      if (!scanner.ends) continue;
      found.push({ opcode: scanner.opcode, isFinal: scanner.isFinal, payload });
      payload = '';
    }
  }
  return found;
}

const length = fc.oneof(fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 70_000), fc.nat(300));
const frame = fc.record({ opcode: fc.constantFrom(0, 1, 2, 8, 9, 10), isFinal: fc.boolean(), payload: length.map((size) => 'x'.repeat(size)) });

describe('FrameScanner', () => {
  it('finds every frame, however the reads cut them', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 70_000 }));
    fc.assert(fc.property(fc.array(frame, { maxLength: 8 }), fc.array(size, { maxLength: 40 }), (frames, sizes) => {
      const bytes = Buffer.concat(frames.map(({ payload, opcode, isFinal }) => frameOf(payload, opcode, isFinal)));
      const scanner = new FrameScanner(100_000);
      expect(scanned(scanner, bytes, sizes)).toEqual(frames);
      expect(scanner.atBoundary).toBe(true);
    }));
  });

  it('knows whether it is between two frames', () => {
    const scanner = new FrameScanner(100);
    const bytes = frameOf('abc');
    const atBoundary = Array.from(bytes, (_byte, at) => {
      scanned(scanner, bytes.subarray(at, at + 1), []);
      return scanner.atBoundary;
    });
    expect(atBoundary).toEqual([false, false, false, false, true]);
  });

  it.each([
    ['masked', Buffer.from([0x81, 0x81, 1, 2, 3, 4, 5])],
    ['compressed', Buffer.from([0xc1, 1, 65])],
    ['longer than allowed', frameOf('x'.repeat(101))],
    ['longer than memory', Buffer.from([0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255])],
  ])('finds nothing any more after a frame that is %s', (_what, bad) => {
    const scanner = new FrameScanner(100);
    expect(scanned(scanner, Buffer.concat([frameOf('good'), bad, frameOf('late')]), [])).toEqual([{ opcode: 1, isFinal: true, payload: 'good' }]);
    expect(scanned(scanner, frameOf('later'), [])).toEqual([]);
    expect([scanner.isBroken, scanner.atBoundary]).toEqual([true, false]);
  });
});
