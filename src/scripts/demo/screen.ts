// The terminal view: a snapshot as lines of text (pure), and a terminal that shows them without flicker.
import type { MarketFigures, PriceFigures, ProcessFigures, Snapshot } from './snapshot.ts';

export interface Caption {
  title: string;
  database: string;
  redis: string;
  logs: string;
  /** Its pages. */
  console: string;
}

const SGR = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
type Style = keyof typeof SGR;
const ESC = '\u001b';

const styled = (style: Style, text: string): string => `${ESC}[${SGR[style]}m${text}${ESC}[0m`;

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
export const count = (value: number | null): string => (value === null ? '-' : whole.format(value));

function duration(ms: number | null): string {
  if (ms === null) return '-';
  return ms < 1000 ? `${Math.round(ms)} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}

function clock(seconds: number): string {
  const s = Math.floor(seconds);
  return [s / 3600, (s / 60) % 60, s % 60].map((part) => String(Math.floor(part)).padStart(2, '0')).join(':');
}

const megabytes = (bytes: number | null): string => (bytes === null ? '-' : `${count(bytes / 1e6)} MB`);

function stateStyle(state: string): Style {
  if (state === 'HEALTHY') return 'green';
  return state === 'LOCKED' || state === '-' ? 'red' : 'yellow';
}

/** The whole view for a terminal of `width` × `height` characters; never more lines, never longer ones (escapes aside). */
export function render(view: Snapshot, caption: Caption, width: number, height: number): string[] {
  const w = Math.max(40, width);
  const up = `up ${clock(view.elapsedS)}`;
  const head = [styled('bold', `${caption.title.slice(0, w - up.length - 2).padEnd(w - up.length)}${up}`), ''];
  const foot = [
    styled('cyan', fit(`console ${caption.console}`, w)),
    fit(`psql ${caption.database}`, w),
    fit(`redis-cli -u ${caption.redis} · logs in ${caption.logs}`, w),
    view.problem === null ? styled('dim', 'Ctrl-C stops everything') : styled('yellow', fit(view.problem, w)),
  ];
  const middle = [...marketLines(view.markets, w), '', ...figureLines(view, w), ''];
  const processes = ['', ...processLines(view.processes, w), ''];
  const room = height - head.length - middle.length - processes.length - foot.length;
  const lines = [...head, ...middle, ...priceLines(view.prices, w, Math.max(2, room)), ...processes, ...foot];
  return lines.slice(0, height).map((line) => clip(line, w));
}

/** Cuts a line with escapes in it after `width` visible characters. */
function clip(line: string, width: number): string {
  if (plain(line).length <= width) return line;
  let left = width;
  const parts = line.split(/(\u001b\[[\d;]*m)/).map((part, i) => {
    if (i % 2 === 1) return part;
    const shown = part.slice(0, left);
    left -= shown.length;
    return shown;
  });
  return parts.join('');
}

const fit = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** Pads to columns: positive widths to the right edge, negative ones to the left. */
function columns(cells: readonly string[], widths: readonly number[], width: number): string {
  const line = cells.map((cell, i) => {
    const size = widths[i] ?? 10;
    return size < 0 ? cell.padEnd(-size) : cell.padStart(size);
  }).join(' ');
  return fit(line, width);
}

function marketLines(markets: readonly MarketFigures[], width: number): string[] {
  const widths = [-14, -13, 10, 10, 10, 11];
  const head = columns(['MARKET', 'STATE', 'FRAMES/S', 'TRADES/S', 'FEED AGE', 'RECONNECTS'], widths, width);
  const rows = markets.map((m) => columns([m.marketId, m.state, count(m.messagesPerS), count(m.tradesPerS),
    duration(m.feedAgeMs), count(m.reconnects)], widths, width).replace(m.state.padEnd(13), styled(stateStyle(m.state), m.state.padEnd(13))));
  return [styled('cyan', head), ...rows];
}

function figureLines(view: Snapshot, width: number): string[] {
  const { stream, rows, latencyMs } = view;
  const latency = latencyMs === null ? '-' : `p50 ${duration(latencyMs.p50)}  p99 ${duration(latencyMs.p99)}`;
  const bad = (text: string, isBad: boolean): string => (isBad ? styled('yellow', text) : text);
  return [
    fit(`stream length ${count(stream.length)}  lag ${count(stream.lag)}  pending ${count(stream.pending)}`, width),
    fit(`rows committed ${count(rows.total)}  (${count(rows.perS)}/s)   socket → commit ${latency}`, width),
    `system ${styled(stateStyle(view.aggregate), view.aggregate)}   ${bad(`gaps open ${count(view.gapsOpen)}`, view.gapsOpen > 0)}`
      + `   ${bad(`dead letters ${count(view.dlq)}`, view.dlq > 0)}`,
  ];
}

function priceLines(prices: readonly PriceFigures[], width: number, room: number): string[] {
  const perLine = width >= 78 ? 2 : 1;
  const cell = Math.floor((width - 2 * (perLine - 1)) / perLine);
  const shown = prices.slice(0, (room - 1) * perLine);
  const lines: string[] = [];
  for (let i = 0; i < shown.length; i += perLine) {
    lines.push(shown.slice(i, i + perLine).map((p) => {
      const price = p.last ?? p.bid ?? '-';
      const name = fit(`${p.unifiedSymbol} · ${p.marketId}`, cell - price.length - 1);
      return `${name.padEnd(cell - price.length)}${price}`;
    }).join('  '));
  }
  const more = prices.length - shown.length;
  return [styled('cyan', `LAST PRICES${more > 0 ? ` (${more} more)` : ''}`), ...lines];
}



function processLines(processes: readonly ProcessFigures[], width: number): string[] {
  const perLine = width >= 78 ? 2 : 1;
  const cell = Math.floor((width - 2 * (perLine - 1)) / perLine);
  const lines: string[] = [];
  for (let i = 0; i < processes.length; i += perLine) {
    lines.push(processes.slice(i, i + perLine).map((p) => {
      const restarts = p.restarts === 0 ? '' : ` ↻${p.restarts}`;
      const pid = p.pid === null ? 'down' : `pid ${p.pid}`;
      return fit(`${p.name.padEnd(15)}${pid.padEnd(11)}${megabytes(p.rssBytes).padStart(8)}${restarts}`, cell).padEnd(cell);
    }).join('  ').trimEnd());
  }
  return [styled('cyan', 'PROCESSES'), ...lines];
}

/** One line for logs and pipes, where nothing can be redrawn. */
export function summaryLine(view: Snapshot): string {
  const sum = (pick: (m: MarketFigures) => number | null): number => view.markets.reduce((total, m) => total + (pick(m) ?? 0), 0);
  const latency = view.latencyMs === null ? '' : `  p99 ${duration(view.latencyMs.p99)}`;
  return `${clock(view.elapsedS)}  ${view.aggregate}  rows ${count(view.rows.total)} (${count(view.rows.perS)}/s)`
    + `  frames/s ${count(sum((m) => m.messagesPerS))}  trades/s ${count(sum((m) => m.tradesPerS))}  lag ${count(view.stream.lag)}`
    + `  gaps ${view.gapsOpen}  dlq ${view.dlq}${latency}`;
}

/** Draws frames in the alternate screen, each in one write that only overwrites: nothing is cleared first, so nothing flickers. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  readonly #colours: boolean;
  #open = false;

  constructor(out: NodeJS.WriteStream, colours: boolean) {
    this.#out = out;
    this.#colours = colours;
  }

  get size(): { width: number; height: number } {
    return { width: this.#out.columns || 80, height: this.#out.rows || 24 };
  }

  draw(lines: readonly string[]): void {
    const begin = this.#open ? '' : `${ESC}[?1049h${ESC}[?25l`;
    this.#open = true;
    const text = lines.map((line) => `${line}${ESC}[K`).join('\r\n');
    this.#out.write(`${begin}${ESC}[?2026h${ESC}[H${this.#colours ? text : plain(text)}${ESC}[J${ESC}[?2026l`);
  }

  /** Gives the terminal back as it was. Safe to call twice. */
  close(): void {
    if (this.#open) this.#out.write(`${ESC}[?25h${ESC}[?1049l`);
    this.#open = false;
  }
}

/** The text without colours and styles. */
export const plain = (text: string): string => text.replaceAll(/\u001b\[[\d;]*m/g, '');
