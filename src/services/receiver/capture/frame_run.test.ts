import { describe, expect, it } from 'vitest';
import { frameOf } from '../../../testing/frames.ts';
import { FrameRun, eachFrame } from './frame_run.ts';

/** A read of a socket, and views of the payloads in it, as `ws` hands them over. */
function readOf(...frames: Buffer[]): { read: Buffer; messages: Buffer[] } {
  const read = Buffer.from(new Uint8Array(Buffer.concat(frames)).buffer);
  const messages: Buffer[] = [];
  for (let at = 0, n = 0; n < frames.length; at += frames[n++]!.length) {
    messages.push(read.subarray(at + headerBytes(frames[n]!), at + frames[n]!.length));
  }
  return { read, messages };
}

/** A message in the pool, behind what looks like its header. */
function pooled(): Buffer {
  const before = Buffer.allocUnsafe(8);
  before.set([0x81, 4], 6);
  return Buffer.concat([Buffer.from('text')]);
}

const headerBytes = (frame: Buffer): number => (frame[1] === 127 ? 10 : frame[1] === 126 ? 4 : 2);

describe('a run', () => {
  it('holds the frames of a read that stand one behind the other', () => {
    const frames = [frameOf('one'), frameOf('x'.repeat(200)), frameOf(''), frameOf(Buffer.from([1, 2]), 2), frameOf('y'.repeat(65_535))];
    const { read, messages: [first, ...others] } = readOf(...frames);
    const run = new FrameRun();
    expect([run.follows(first!), run.begin(first!, 7), ...others.map((message) => run.follows(message))]).toEqual([false, true, true, true, true, true]);
    expect([run.frames, run.micros, run.bytes.equals(read)]).toEqual([5, 7, true]);
    const found: [boolean, string][] = [];
    eachFrame(run.bytes, (isBinary, from, to) => found.push([isBinary, run.bytes.toString('latin1', from, to)]));
    expect(found).toEqual([[false, 'one'], [false, 'x'.repeat(200)], [false, ''], [true, '\x01\x02'], [false, 'y'.repeat(65_535)]]);
    run.clear();
    expect([run.frames, run.follows(first!)]).toEqual([0, false]);
  });

  it.each([
    ['a control frame between', [frameOf('one'), frameOf('ping', 9), frameOf('two')], 2],
    ['a piece of a message between', [frameOf('one'), frameOf('pie', 1, false), frameOf('two')], 2],
    ['a length in the long form', [frameOf('one'), Buffer.concat([Buffer.from([0x81, 126, 0, 3]), Buffer.from('two')])], 1],
  ])('ends at %s', (_what, frames, at) => {
    const { messages } = readOf(...frames);
    const run = new FrameRun();
    expect(run.begin(messages[0]!, 0)).toBe(true);
    expect(run.follows(messages[at]!)).toBe(false);
  });

  it.each([
    ['whose header came with another read', Buffer.from(new Uint8Array(Buffer.from('text')).buffer)],
    ['that was put together', Buffer.from('text')],
    ['of more than 64 KB', readOf(frameOf('x'.repeat(65_536))).messages[0]!],
    ['that may be in the pool, whatever stands in front of it', pooled()],
    ['behind another length', readOf(Buffer.concat([Buffer.from([0x81, 9]), Buffer.from('text')])).messages[0]!],
    ['behind another long length', readOf(Buffer.concat([Buffer.from([0x81, 126, 1, 0]), Buffer.alloc(200)])).messages[0]!],
    ['that ends a longer one', readOf(frameOf('text', 0)).messages[0]!],
  ])('does not begin with a message %s', (_what, message) => {
    const run = new FrameRun();
    expect(run.begin(message, 0)).toBe(false);
    expect(run.frames).toBe(0);
  });
});
