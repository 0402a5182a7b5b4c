// The kill switch by itself: what it says before everything is known.
import { mkdtempDisposableSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KillSwitch } from './kill_switch.ts';

const switchOf = (file: string): KillSwitch => new KillSwitch({
  file, clock: { nowMicros: () => 0, monotonicMs: () => 0 }, log: { info: () => undefined, warn: () => undefined, error: () => undefined }, venue: null,
  pause: () => Promise.reject(new Error('the end')), told: () => undefined,
});

it('lets nothing out before the flag in the database was read: it may be on since the process before', () => {
  using dir = mkdtempDisposableSync(join(tmpdir(), 'kill-'));
  const kill = switchOf(join(dir.path, 'KILL'));
  expect([kill.cause, kill.bars]).toEqual([null, 'its flag has not been read yet']);
  kill.flag('on');
  expect([kill.cause, kill.bars]).toEqual(['flag', 'by flag']);
  kill.flag('off');
  expect([kill.cause, kill.bars]).toEqual([null, null]);
});

it('is on where its file is, leads nowhere, or cannot be looked at', () => {
  using dir = mkdtempDisposableSync(join(tmpdir(), 'kill-'));
  const at = (name: string): string => join(dir.path, name);
  writeFileSync(at('plain'), '');
  symlinkSync(at('nowhere'), at('dangling'));
  symlinkSync(at('loop'), at('loop'));
  expect(['plain', 'dangling', 'loop', join('loop', 'KILL'), 'none', join('none', 'KILL')].map((name) => switchOf(at(name)).cause))
    .toEqual(['file', 'file', 'file', 'file', null, null]);
});
