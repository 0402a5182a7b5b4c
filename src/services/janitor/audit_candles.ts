// Stored candles beside the exchange's own, of one series; what differs is replaced by what the exchange says.
import { resolutionValues, type Resolution } from '../../contracts/index.ts';
import type { Candle, MarketRest } from '../../exchanges/exchange.ts';
import { trimZeros } from '../../exchanges/rest_reader.ts';
import { finalCandles, type Series, type StoredCandle } from '../../store/audit_scope.ts';
import type { AuditFinding } from '../../store/audits.ts';
import { transaction, type Client, type Pool } from '../../store/connect.ts';
import { upsertOhlc, type OhlcRow } from '../../store/ohlc.ts';
import { RULES } from './audit_policy.ts';

export interface Compared {
  /** Candles that both sides have. */
  compared: number;
  findings: AuditFinding[];
}

export interface CandleAudit {
  pool: Pool;
  series: Series;
  /** since ≤ open_ts < until, µs. */
  since: number;
  until: number;
  /** A page of the exchange's candles from a time on, up to `until`. */
  ask: (resolution: Resolution, from: number) => ReturnType<MarketRest['candles']>;
  /** Notes findings, in the transaction that repairs them. */
  keep: (db: Pick<Client, 'query'>, findings: readonly AuditFinding[]) => Promise<void>;
  nowMicros: () => number;
}

type Values = Readonly<Record<string, string | null>>;

/** Rejects with the exchange's error, or the database's: then nothing was repaired, or noted. */
export async function auditCandles({ pool, series, since, until, ask, keep, nowMicros }: CandleAudit): Promise<Compared> {
  const resolution = resolutionValues.find((one) => one === series.resolution);
  if (resolution === undefined) return { compared: 0, findings: [] };
  const theirs = await allCandles((from) => ask(resolution, from), since);
  const ours = new Map((await finalCandles(pool, series, since, until)).map((candle) => [candle.openTs, candle]));
  const found: AuditFinding[] = [];
  const repairs: Candle[] = [];
  let compared = 0;
  for (const candle of theirs) {
    const mine = ours.get(candle.open_ts);
    ours.delete(candle.open_ts);
    if (mine !== undefined) compared++;
    const difference = differenceOf(mine === undefined ? null : valuesOfStored(mine), valuesOf(candle));
    if (difference === null) continue;
    repairs.push(candle);
    const kind = mine === undefined ? 'candle_missing' : 'candle_differs';
    found.push(finding(series, kind, candle.open_ts, difference, true, 'the exchange\'s candle was stored'));
  }
  for (const mine of ours.values()) {
    const silent = mine.volume === '0';
    const detail = silent ? 'without a trade: the exchange may leave it out' : 'the exchange does not list it';
    found.push(finding(series, 'candle_unknown', mine.openTs, { ours: told(valuesOfStored(mine)), theirs: null }, silent, detail));
  }
  if (found.length > 0) {
    const rows = rowsOf(series, repairs, nowMicros());
    await transaction(pool, async (client) => {
      await upsertOhlc(client, rows);
      await keep(client, found);
    });
  }
  return { compared, findings: found };
}

/** Final ones only: a forming candle is nobody's mistake. */
async function allCandles(ask: (from: number) => ReturnType<MarketRest['candles']>, since: number): Promise<Candle[]> {
  const all: Candle[] = [];
  for (let from = since; ;) {
    const { items, complete } = await ask(from);
    all.push(...items.filter((candle) => candle.closed));
    const last = items.at(-1);
    if (complete) return all;
    if (last === undefined) throw new Error('candles: an empty page that claims there is more');
    from = last.open_ts + 1;
  }
}

const rowsOf = ({ instrumentId }: Series, candles: readonly Candle[], now: number): OhlcRow[] =>
  candles.map((candle) => ({ instrumentId, message: { v: 1, type: 'ohlc', received_ts: now, exchange_ts: now, ...candle } }));

const valuesOf = ({ open, high, low, close, volume, quote_volume: quote, trade_count: count }: Candle): Values => ({
  open: trimZeros(open), high: trimZeros(high), low: trimZeros(low), close: trimZeros(close), volume: trimZeros(volume),
  quote_volume: quote === null ? null : trimZeros(quote), trade_count: count === null ? null : String(count),
});

const valuesOfStored = ({ open, high, low, close, volume, quoteVolume, tradeCount }: StoredCandle): Values =>
  ({ open, high, low, close, volume, quote_volume: quoteVolume, trade_count: tradeCount });

/** The fields that both tell and that differ, as each tells them; null when there are none. */
function differenceOf(ours: Values | null, theirs: Values): Pick<AuditFinding, 'ours' | 'theirs'> | null {
  if (ours === null) return { ours: null, theirs: told(theirs) };
  const names = Object.keys(theirs).filter((name) => ours[name] !== null && theirs[name] !== null && ours[name] !== theirs[name]);
  if (names.length === 0) return null;
  const pick = (values: Values): Record<string, string> => Object.fromEntries(names.map((name) => [name, values[name] ?? '']));
  return { ours: pick(ours), theirs: pick(theirs) };
}

const told = (values: Values): Record<string, string> =>
  Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [[name, value]])));

function finding(
  { instrumentId, marketId, symbol, resolution: candle }: Series, kind: AuditFinding['kind'], openTs: number,
  { ours, theirs }: Pick<AuditFinding, 'ours' | 'theirs'>, known: boolean, detail: string,
): AuditFinding {
  return {
    instrumentId, marketId, symbol, candle, kind, openTs, fromSeq: null, toSeq: null, ours, theirs,
    resolution: RULES[kind][known ? 'known' : 'unknown'], detail,
  };
}
