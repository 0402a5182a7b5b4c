// Labels of our orders: `<mode>-<strategy>-<ulid>`. By its label alone an order is known as ours, whoever looks, without a database.
import type { TradingMode } from './mode.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const OWN = /^(paper|test|live)-[a-z][a-z0-9-]{0,19}-[0-9A-HJKMNP-TV-Z]{26}$/;

/** A new label; `nowMs` ms since the epoch, `random` as Math.random. At most 53 characters. */
export function mintLabel(mode: TradingMode, strategy: string, nowMs: number, random: () => number): string {
  let time = '';
  for (let i = 0, rest = Math.floor(nowMs); i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32]! + time;
  const noise = Array.from({ length: 16 }, () => ALPHABET[Math.floor(random() * 32)]).join('');
  return `${mode}-${strategy}-${time}${noise}`;
}

export const isOwnLabel = (label: string): boolean => OWN.test(label);
