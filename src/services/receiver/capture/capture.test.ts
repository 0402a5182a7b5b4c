// The raw capture: what is in its files, how they are bounded, and that no trouble with them troubles the receiver.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync, truncateSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { parseCaptured, type CapturedLine } from '../../../core/captured.ts';
import type { SessionTap } from '../../../net/websocket.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { textsOf } from '../../../simulator/packed.ts';
import { readRecordings } from '../../../simulator/recording.ts';
import { frameOf } from '../../../testing/frames.ts';
import { openStage, until } from '../../../testing/receiver.ts';
import { Capture } from './capture.ts';
import { CaptureFiles } from './files.ts';
import { RecordBuffer, type Chunk, type Opened, type RecordKind, type Report } from './records.ts';

const root = mkdtempSync(join(tmpdir(), 'tapekeeper-test-capture-'));
let folders = 0;
const newFolder = (): string => join(root, String(++folders));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const filesOf = (folder: string): string[] => readdirSync(folder).sort();
const textOf = (path: string): string => [...textsOf(path, readFileSync(path))].join('');
const linesOf = (path: string): (CapturedLine & Partial<Opened>)[] =>
  textOf(path).split('\n').filter((line) => line !== '').map((line) => {
    const captured = parseCaptured(line);
    if (captured === null) throw new Error(`no line of a capture: ${line}`);
    return captured.kind === 'connect' ? { ...captured, ...(JSON.parse(captured.data) as Opened) } : captured;
  });

type Put = [Exclude<RecordKind, 'frames'>, number, number, string];

/** What the receive path hands over: frames one by one (`recv`), or those of a connection that follow each other as a run. */
function chunkOf(marketId: string, ...records: Put[]): Chunk {
  const buffer = new RecordBuffer();
  for (const [kind, micros, conn, text] of records) {
    const bytes = Buffer.from(text, kind === 'binary' ? 'base64' : 'utf8');
    expect(buffer.fits(bytes.length)).toBe(true);
    if (kind === 'recv' && conn % 2 === 0) buffer.put('frames', conn, micros, frameOf(text));
    else buffer.put(kind, conn, micros, bytes);
  }
  return { marketId, records: buffer.take(), attempt: 0 };
}

const T = 1_790_000_000_000_000;
const opened = (market: string): string => JSON.stringify({ market_id: market, run: 'r', url: `wss://${market}.test/ws` });
/** Text that does not compress. */
const noise = (length: number): string => Array.from({ length }, () => String.fromCharCode(33 + Math.floor(Math.random() * 90))).join('');

/** What a session does with what its socket reads: the messages that `ws` finds in them. */
function socketOf(tap: SessionTap, onMessage: (text: string) => void = () => undefined): (bytes: Buffer) => void {
  const { Receiver } = ws as unknown as { Receiver: new () => Writable };
  const receiver = new Receiver();
  receiver.on('message', (bytes: Buffer, isBinary: boolean) => {
    tap.received(bytes, isBinary, T);
    onMessage(bytes.toString(isBinary ? 'base64' : 'utf8'));
  });
  return (bytes) => receiver.write(bytes);
}

/** A short message whose length stands in the long form: nobody has to send it, and it is received. */
function padded(text: string): Buffer {
  const payload = Buffer.from(text);
  return payload.length > 125 ? frameOf(text) : Buffer.concat([Buffer.from([0x81, 126, 0, payload.length]), payload]);
}

/** A capture that tells what becomes of it, and whose time goes on by hand. */
function captureIn(folder: string): { capture: Capture; told: string[]; counted: { nowMs: number; lost: number } } {
  const [told, counted]: [string[], { nowMs: number; lost: number }] = [[], { nowMs: 0, lost: 0 }];
  const capture = new Capture({
    folder, run: '1-r', maxBytes: 1e9, clock: { ...systemClock(), monotonicMs: () => counted.nowMs, nowMicros: () => T },
    onPaused: (reason) => told.push(reason), onResumed: (count) => told.push(`resumed, ${count} lost`),
    onStored: () => undefined, onLost: (count) => void (counted.lost += count),
  });
  return { capture, told, counted };
}

describe('the files', () => {
  it('hold what every connection received and sent, and when, in files of their market', () => {
    const folder = newFolder();
    const files = new CaptureFiles({ folder, run: '1-20261128T100000', maxBytes: 1e9 }, () => undefined);
    files.take(chunkOf('one', 
      ['connect', T, 1, opened('one')], ['connect', T + 1, 2, opened('one')], ['send', T + 3, 1, '{"id":1}'],
      ['recv', T + 1_000_004, 1, '{"a":"é\\n"}'], ['recv', T + 5, 2, 'no JSON "at all'], ['recv', T + 6, 2, '{\r\n "two": "lines" }'], ['recv', T + 6, 2, ''],
      ['close', T + 7, 2, '1006 gone\naway'],
    ));
    files.take(chunkOf('two', ['connect', T + 2, 3, opened('two')], ['binary', T + 6, 3, 'AQ==']));
    files.close();
    expect(filesOf(folder)).toEqual(['one.1-20261128T100000.0001.frames.zst', 'two.1-20261128T100000.0002.frames.zst']);
    const [one, two] = filesOf(folder).map((name) => linesOf(join(folder, name)));
    expect(one?.filter(({ kind }) => kind !== 'connect')).toEqual([
      { t: 1_790_000_000.000003, conn: 1, kind: 'send', data: '{"id":1}' },
      { t: 1_790_000_001.000004, conn: 1, kind: 'recv', data: '{"a":"é\\n"}' },
      { t: 1_790_000_000.000005, conn: 2, kind: 'recv', data: 'no JSON "at all' },
      { t: 1_790_000_000.000006, conn: 2, kind: 'recv', data: '{\r\n "two": "lines" }' },
      { t: 1_790_000_000.000006, conn: 2, kind: 'recv', data: '' },
      { t: 1_790_000_000.000007, conn: 2, kind: 'close', data: '1006 gone\naway' },
    ]);
    const connects = one?.filter(({ kind }) => kind === 'connect').map(({ conn, url, market_id }) => [conn, url, market_id]);
    expect(connects).toContainEqual([2, 'wss://one.test/ws', 'one']);
    expect(textOf(join(folder, filesOf(folder)[0] ?? ''))).toContain('\n1790000001.000004 1 recv {"a":"é\\n"}\n');
    expect(two?.at(-1)).toEqual({ t: 1_790_000_000.000006, conn: 3, kind: 'binary', data: 'AQ==' });
  });

  it('change by size and by time, each complete in itself, and stay within the bound, the oldest going first', () => {
    const folder = newFolder();
    mkdirSync(folder);
    writeFileSync(join(folder, 'not-ours.txt'), 'x'.repeat(1_000));
    const maxBytes = 800_000;
    const files = new CaptureFiles({ folder, run: '1-r', maxBytes }, () => undefined);
    files.take(chunkOf('one', ['connect', T, 7, opened('one')]));
    for (let i = 0; i < 60; i++) {
      files.take(chunkOf('one', ['recv', T + i * 1000, 7, noise(30_000)]));
      files.flush();
    }
    files.take(chunkOf('one', ['recv', T + 2 * 3_600_000_000, 7, 'two hours later']));
    files.close();
    const names = filesOf(folder).filter((name) => name.endsWith('.zst'));
    expect(names.length).toBeGreaterThan(4);
    expect(names[0]).not.toContain('.0001.');
    const total = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    expect(total).toBeLessThanOrEqual(maxBytes);
    expect(total).toBeGreaterThan(maxBytes / 2);
    for (const name of names) expect(linesOf(join(folder, name))[0]).toMatchObject({ kind: 'connect', conn: 7, market_id: 'one' });
    expect(linesOf(join(folder, names.at(-1) ?? '')).map(({ kind, data }) => (kind === 'connect' ? kind : data))).toEqual(['connect', 'two hours later']);
    expect(filesOf(folder)).toContain('not-ours.txt');
  });

  it('are readable up to wherever they were cut', () => {
    const folder = newFolder();
    const files = new CaptureFiles({ folder, run: '1-r', maxBytes: 1e9 }, () => undefined);
    files.take(chunkOf('one', ['connect', T, 1, opened('one')]));
    for (let i = 0; i < 20; i++) {
      const record = (j: number): Put => ['recv', T + i * 1000 + j, 1, `${i * 50 + j} ${noise(50)}`];
      files.take(chunkOf('one', ...Array.from({ length: 50 }, (_record, j) => record(j))));
      files.flush();
    }
    files.close();
    const [name = ''] = filesOf(folder);
    const whole = readRecordings(folder)[0]?.frames ?? [];
    expect(whole).toHaveLength(1_000);
    const size = statSync(join(folder, name)).size;
    let most = 0;
    for (let cut = 1; cut < size; cut = Math.ceil(cut * 1.3)) {
      const copy = newFolder();
      mkdirSync(copy);
      copyFileSync(join(folder, name), join(copy, name));
      truncateSync(join(copy, name), size - cut);
      const frames = readRecordings(copy)[0]?.frames ?? [];
      expect(frames.map(({ text }) => text)).toEqual(whole.slice(0, frames.length).map(({ text }) => text));
      // No more is lost than the piece that the cut goes through.
      expect(frames.length).toBeGreaterThanOrEqual(Math.floor((1 - cut / size) * 20 - 1) * 50);
      most = Math.max(most, frames.length);
    }
    expect(most).toBeGreaterThanOrEqual(950);
  });

  it('are begun anew after the disk was full; what was written stays', (context) => {
    const folder = newFolder();
    mkdirSync(folder);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', folder]).status !== 0) return context.skip();
    try {
      const reports: Report[] = [];
      const files = new CaptureFiles({ folder, run: '1-r', maxBytes: 1e9 }, (report) => reports.push(report));
      const put = (text: string): void => {
        files.take(chunkOf('one', ['recv', T, 1, text]));
        files.flush();
      };
      files.take(chunkOf('one', ['connect', T, 1, opened('one')]));
      put('first');
      put(noise(400_000));
      expect(reports.filter(({ type }) => type !== 'taken')).toEqual([
        expect.objectContaining({ type: 'stored', frames: 1 }), { type: 'failed', frames: 1, reason: 'ENOSPC: no space left on device, write' },
      ]);
      expect(readRecordings(folder)[0]?.frames[0]?.text).toBe('first');
      // Each attempt begins a file: those that came to nothing are not left behind, every ten seconds one.
      put(noise(400_000));
      put(noise(400_000));
      expect(filesOf(folder)).toHaveLength(1);
      for (const name of filesOf(folder)) rmSync(join(folder, name));
      put('later');
      files.close();
      expect(readRecordings(folder)[0]?.frames.map(({ text }) => text)).toEqual(['later']);
    } finally {
      spawnSync('umount', [folder]);
    }
  });
});

describe('the capture', () => {
  it('pauses when it cannot write, says so once, and goes on when it can, with its connections told again', async () => {
    const folder = newFolder();
    writeFileSync(folder, 'in the way');
    const { capture, told, counted } = captureIn(folder);
    const tap = capture.connection('one', 'wss://one.test/ws');
    const read = socketOf(tap);
    read(frameOf('lost'));
    await until(() => counted.lost === 1);
    read(frameOf('lost too'));
    expect(told).toEqual([expect.stringMatching(/^(EEXIST|ENOTDIR)/)]);
    expect(counted.lost).toBe(2);
    rmSync(folder);
    counted.nowMs += 10_000;
    await until(() => {
      if (told.length === 1) read(frameOf('seen'));
      return told.length === 2;
    });
    tap.closed('1000');
    await capture.close();
    expect(told[1]).toMatch(/^resumed, \d+ lost$/);
    const lines = linesOf(join(folder, filesOf(folder)[0] ?? ''));
    expect(lines[0]).toMatchObject({ kind: 'connect', conn: 1, market_id: 'one' });
    expect(lines.find(({ kind }) => kind === 'lost')?.data).toBe(told[1]?.split(' ')[1]);
    expect(lines.some(({ data }) => data === 'seen')).toBe(true);
    expect(lines.at(-1)).toMatchObject({ kind: 'close', data: '1000' });
  });

  it('holds each message once and in order, however frames and reads cut it', async () => {
    const folder = newFolder();
    const capture = new Capture({
      folder, run: '1-r', maxBytes: 1e9, clock: { ...systemClock(), nowMicros: () => T }, onPaused: () => expect.unreachable(),
      onResumed: () => expect.unreachable(), onStored: () => undefined, onLost: () => expect.unreachable(),
    });
    const cut = (text: string): Buffer[] =>
      [frameOf(text.slice(0, 3), 1, false), frameOf('ping', 9), frameOf(text.slice(3, 4), 0, false), frameOf(text.slice(4), 0)];
    const textOfMessage = (n: number): string =>
      (n % 7 === 0 ? `{\n"n":${n}}` : n % 11 === 0 ? '' : `{"n":${n},"text":"${'é'.repeat(n % 100 === 1 ? 40_000 : n % 300)}"}`);
    const frames = (n: number): Buffer[] => {
      if (n % 5 === 4) return cut(textOfMessage(n));
      if (n % 13 === 0) return [frameOf(Buffer.from([n, 10, 0x81]), 2)];
      return [n % 17 === 0 ? padded(textOfMessage(n)) : frameOf(textOfMessage(n))];
    };
    const bytes = Buffer.concat(Array.from({ length: 1_500 }, (_message, n) => frames(n)).flat());
    const received: string[][] = [[], [], []];
    const taps = received.map((_texts, at) => capture.connection(at === 2 ? 'two' : 'one', 'wss://test/ws'));
    for (const [at, tap] of taps.entries()) {
      const read = socketOf(tap, (text) => received[at]?.push(text));
      for (let from = 0, n = 0; from < bytes.length; n++) {
        const size = 1 + Math.floor(Math.random() * (n % 3 === 0 ? 12 : 65_536));
        const part = bytes.subarray(from, from + size);
        // As sockets do, in memory of its own.
        read(Buffer.from(new Uint8Array(part).buffer));
        from += size;
      }
      tap.closed('1000');
    }
    await capture.close();
    expect(received[0]).toHaveLength(1_500);
    const lines = filesOf(folder).flatMap((name) => linesOf(join(folder, name)));
    for (const [at, texts] of received.entries()) {
      const captured = lines.filter(({ conn, kind }) => conn === at + 1 && (kind === 'recv' || kind === 'binary'));
      expect(captured.map(({ data }) => data)).toEqual(texts);
    }
  });

  it('says what was lost, and that it goes on only when something of the new attempt is on disk', async () => {
    const folder = newFolder();
    writeFileSync(folder, 'in the way');
    const { capture, told, counted } = captureIn(folder);
    const read = socketOf(capture.connection('one', 'wss://one.test/ws'));
    read(Buffer.concat([frameOf('lost'), frameOf('cut').subarray(0, 3)]));
    await until(() => told.length === 1);
    read(Buffer.concat([frameOf('cut').subarray(3), frameOf('lost'), frameOf('seen').subarray(0, 4)]));
    rmSync(folder);
    // Told while it is paused, it is written, and says nothing of what was lost.
    capture.connection('one', 'wss://one.test/ws').closed('1000');
    await until(() => existsSync(folder));
    expect(told).toHaveLength(1);
    counted.nowMs += 10_000;
    await until(() => told.length === 2);
    read(frameOf('seen').subarray(4));
    await capture.close();
    const lines = filesOf(folder).flatMap((name) => linesOf(join(folder, name)));
    expect(lines.filter(({ kind }) => kind === 'recv').map(({ data }) => data)).toEqual(['seen']);
    expect([told[1], counted.lost]).toEqual(['resumed, 3 lost', 3]);
    expect(lines.filter(({ kind }) => kind === 'lost').map(({ data }) => data)).toEqual(['3']);
  });

  it('never stops the receiver: in a folder that cannot be it is paused, and the market is received', async () => {
    const folder = newFolder();
    writeFileSync(folder, 'in the way');
    const stage = await openStage({ MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CAPTURE_DIR: join(folder, 'below') });
    try {
      const receiver = await stage.receive();
      await until(async () => (await stage.published.count('binance_spot')) > 100);
      await until(async () => (await stage.published.events('capture.paused')).length > 0);
      expect((await stage.published.events('capture.paused'))[0]).toMatchObject({ severity: 'warning', data: { folder: join(folder, 'below') } });
      expect(await receiver.metric('receiver_capture_paused')).toBe(1);
      await until(async () => (await receiver.metric('receiver_capture_lost_frames_total')) > 0);
      expect(receiver.health.ready).toBe(true);
    } finally {
      await stage.close();
    }
  });

  it('goes below the working directory for a relative folder, and the log says where that is', async () => {
    const folder = newFolder();
    mkdirSync(folder);
    const stage = await openStage({ MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CAPTURE_DIR: 'raw/frames' });
    const child = spawn(process.execPath, [join(import.meta.dirname, '../../../scripts/start.ts'), 'receiver'], {
      cwd: folder, env: { PATH: process.env['PATH'] ?? '', ...stage.env, LOG_LEVEL: 'info' }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.on('data', (text) => (told += String(text)));
    try {
      const whole = join(realpathSync(folder), 'raw/frames');
      await until(() => existsSync(whole) && filesOf(whole).length > 0);
      const lines = told.split('\n').filter((line) => line.includes('is captured')).map((line) => JSON.parse(line) as object);
      expect(lines).toMatchObject([{ folder: whole }]);
    } finally {
      child.kill();
      await once(child, 'exit');
      await stage.close();
    }
  });

  it('holds every frame that the receiver counts, and its figures say so', async () => {
    const folder = newFolder();
    const symbols = { BINANCE_SPOT_SYMBOLS: 'BTCUSDT', BINANCE_USDM_SYMBOLS: 'BTCUSDT' };
    const stage = await openStage({ MARKETS: 'binance_spot,binance_usdm', ...symbols, CAPTURE_DIR: folder });
    try {
      const receiver = await stage.receive();
      await until(async () => (await stage.published.count('binance_usdm')) > 100);
      await receiver.stop();
      const lines = filesOf(folder).flatMap((name) => linesOf(join(folder, name)));
      const received = lines.filter(({ kind }) => kind === 'recv').length;
      expect(received).toBe(await receiver.metric('receiver_frames_total'));
      expect(received).toBe(await receiver.metric('receiver_captured_frames_total'));
      expect(await receiver.metric('receiver_capture_disk_bytes')).toBe(filesOf(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0));
      expect(await receiver.metric('receiver_capture_lost_frames_total')).toBe(0);
      // Spot has one connection, USD-M one for quotes and one for the rest: each is told apart, opened and closed.
      expect(new Set(lines.map(({ conn }) => conn)).size).toBe(3);
      expect(lines.filter(({ kind }) => kind === 'close')).toHaveLength(3);
      expect(lines.filter(({ kind }) => kind === 'send').every(({ data }) => data.includes('"method"'))).toBe(true);
    } finally {
      await stage.close();
    }
  });
});
