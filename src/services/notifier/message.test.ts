// What does not fit into a message is counted in it.
import { expect, it } from 'vitest';
import type { SystemEvent } from '../../contracts/index.ts';
import { discordBody, slackBody, telegramBody } from './message.ts';

const events = Array.from({ length: 50 }, (_event, n): SystemEvent => ({
  event_id: `e${n}`, type: 'market.price_spike', severity: 'warning', market_id: 'binance_spot', symbol: `<SYMBOL_${n}>`, ts: 1_790_000_000_000_000,
  data: { return_bp: 78.5, volume_z: 12.25, reason: '<&>'.repeat(20) },
}));

it.each([
  ['discord', 2_000, (discordBody({ events, leftOut: new Map() }) as { content: string }).content],
  ['telegram', 4_096, (telegramBody('1')({ events, leftOut: new Map() }) as { text: string }).text],
  ['slack', 40_000, (slackBody({ events: [...events, ...events, ...events], leftOut: new Map() }) as { text: string }).text],
])('says to %s how many events are missing, within its limit', (_target, limit, text) => {
  expect(text.length).toBeLessThanOrEqual(limit);
  const lines = text.split('\n');
  const total = _target === 'slack' ? 150 : 50;
  expect(lines.at(-1)).toBe(`… and ${total - lines.length + 1} more`);
});
