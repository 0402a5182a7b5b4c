// Markets side by side: candles, quote, funding and trades of each.
import type { Candles, Quote, Trades } from '../../shown.ts';
import { CandleChart } from '../charts.ts';
import { badge, choice, empty, h, morph, trouble } from '../dom.ts';
import { ago, clock, dash, toneOfAge, trimmed } from '../format.ts';
import { Watching, ask, isTrouble } from '../live.ts';
import { MOST, keyOf, picksOf, type Instrument } from '../picks.ts';
import { remember, type Page } from '../router.ts';

const CANDLES = 300;
/** Of each chart all the time. What changes further back is seen when the next candle opens. */
const LAST_CANDLES = 5;
const RESOLUTIONS = ['1m', '5m', '15m', '1h', '4h', '1d'] as const;

export const market: Page = (root, query) => {
  let shown = keysOf(query.get('show') ?? '');
  let resolution = RESOLUTIONS.find((each) => each === query.get('resolution')) ?? '1m';
  let close: () => void = () => undefined;
  const controls = h('div', { class: 'controls' });
  const body = h('div', {}, empty('Asking which instruments there are …'));
  root.append(h('h1', {}, 'Market'), controls, body);
  const open = (instruments: readonly Instrument[]): void => {
    close();
    remember({ show: shown.join(','), resolution: resolution === '1m' ? '' : resolution });
    const chosen = shown.map((key) => instruments.find((each) => keyOf(each) === key) ?? key);
    close = showAll(body, chosen, resolution);
  };
  let isPicked = false;
  // Watched until there is something to choose from: the servers may be away, or the receiver not there yet.
  const waiting = new Watching().watch('instruments', {}, (answer) => {
    if (isPicked) return;
    if (isTrouble(answer) || answer.instruments.length === 0) {
      body.replaceChildren(isTrouble(answer) ? trouble(answer.error.message)
        : empty('Nothing is subscribed yet. Once a receiver runs, its instruments are here.'));
      return;
    }
    isPicked = true;
    waiting.close();
    const picks = picksOf(answer.instruments);
    // The one on most markets, where nobody has chosen.
    const widest = Math.max(...picks.map(([keys]) => keysOf(keys).length));
    if (shown.length === 0) shown = keysOf(picks.find(([keys]) => keysOf(keys).length === widest)?.[0] ?? '');
    controls.append(
      choice('Symbol', picks, shown.join(','), (value) => {
        shown = keysOf(value);
        open(answer.instruments);
      }),
      choice('Candles', RESOLUTIONS.map((each) => [each, each] as const), resolution, (value) => {
        resolution = RESOLUTIONS.find((each) => each === value) ?? '1m';
        open(answer.instruments);
      }));
    open(answer.instruments);
  }).open();
  return () => {
    waiting.close();
    close();
  };
};

const keysOf = (text: string): string[] => text.split(',').filter((key) => /^[^:]+:.+$/.test(key)).slice(0, MOST);

function showAll(body: HTMLElement, chosen: readonly (Instrument | string)[], resolution: string): () => void {
  const watching = new Watching();
  const closers = chosen.map((each) => (typeof each === 'string' ? null : new MarketView(each, resolution, watching)));
  body.replaceChildren(h('div', { class: 'markets' }, ...chosen.map((each, n) =>
    closers[n]?.element ?? h('section', { class: 'panel' }, empty(`${typeof each === 'string' ? each : keyOf(each)} is not subscribed.`)))));
  for (const view of closers) view?.start();
  watching.open();
  return () => {
    watching.close();
    for (const view of closers) view?.close();
  };
}

class MarketView {
  readonly element: HTMLElement;
  readonly #box: HTMLElement;
  readonly #note = h('div');
  readonly #quote = h('dl', { class: 'quote' });
  readonly #trades = h('tbody');
  readonly #instrument: Instrument;
  readonly #resolution: string;
  #chart: CandleChart | null = null;
  #closed = false;

  constructor(instrument: Instrument, resolution: string, watching: Watching) {
    const { marketId, symbol, unifiedSymbol, kind, amountUnit } = instrument;
    this.#instrument = instrument;
    this.#resolution = resolution;
    this.#box = h('div', { class: 'chart', role: 'img', 'aria-label': `Candles of ${symbol} on ${marketId}, ${resolution}, with volume` });
    this.element = h('section', { class: 'panel' },
      h('h2', {}, `${unifiedSymbol ?? symbol} `, badge(marketId, 'muted'), ' ', h('span', { class: 'muted' }, `${symbol} · ${dash(kind)}`)),
      this.#quote, this.#note, this.#box,
      h('div', { class: 'trades', tabindex: 0, role: 'region', 'aria-label': `Trades of ${symbol} on ${marketId}` }, h('table', {},
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Time'), h('th', { scope: 'col' }, 'Side'), h('th', { scope: 'col', class: 'num' }, 'Price'),
          h('th', { scope: 'col', class: 'num' }, `Amount ${amountUnit ?? ''}`))), this.#trades)));
    const of = { market: marketId, symbol };
    watching.watch('quote', of, (answer) => morph(this.#quote, ...(isTrouble(answer) ? [h('dd', { class: 'bad' }, answer.error.message)] : quoteOf(answer))));
    watching.watch('trades', of, (answer) => {
      if (!isTrouble(answer)) morph(this.#trades, ...answer.trades.slice(0, 25).map(tradeOf));
    });
    watching.watch('candles', { ...of, resolution, limit: LAST_CANDLES }, (answer) => {
      // What is drawn stays, and is old.
      if (isTrouble(answer)) this.#note.replaceChildren(trouble(answer.error.message));
      else this.#follow(answer.candles);
    });
  }

  /** Once the element is on the page: a chart takes its size from it. */
  start(): void {
    const { marketId, symbol } = this.#instrument;
    void ask('candles', { market: marketId, symbol, resolution: this.#resolution, limit: CANDLES }).then((answer) => {
      if (this.#closed) return;
      if (isTrouble(answer)) this.#note.replaceChildren(trouble(answer.error.message));
      else this.#noteOf(answer.candles);
      this.#chart = new CandleChart(this.#box);
      if (!isTrouble(answer)) this.#chart.show(answer.candles);
    });
  }

  #noteOf({ length }: Candles['candles']): void {
    this.#note.replaceChildren(...(length > 0 ? [] : [empty(`No candle of ${this.#resolution} is stored. OHLC_RESOLUTIONS says which are.`)]));
  }

  #follow(candles: Candles['candles']): void {
    const chart = this.#chart;
    if (chart === null) return;
    this.#noteOf(candles);
    const { newest } = chart;
    chart.show(candles);
    if (chart.newest === newest) return;
    // Healed ones, late ones, and those of a time without a connection.
    const { marketId, symbol } = this.#instrument;
    void ask('candles', { market: marketId, symbol, resolution: this.#resolution, limit: CANDLES }).then((answer) => {
      if (!this.#closed && !isTrouble(answer)) chart.show(answer.candles);
    });
  }

  close(): void {
    this.#closed = true;
    this.#chart?.close();
  }
}

function quoteOf(quote: Quote): HTMLElement[] {
  const { bid, bidAmount, ask: offer, askAmount, last, mark, index, fundingRate, openInterest, volume24h, receivedTs, status, nowTs } = quote;
  const plain = (value: string | null): string => (value === null ? '–' : trimmed(value));
  const field = (name: string, value: string, tone = ''): HTMLElement => h('div', {}, h('dt', {}, name), h('dd', { class: tone }, value));
  const sized = (price: string | null, amount: string | null): string =>
    price === null || amount === null ? plain(price) : `${trimmed(price)} × ${trimmed(amount)}`;
  const optional = ([name, value]: readonly [string, string | null]): HTMLElement[] => (value === null ? [] : [field(name, trimmed(value))]);
  return [
    field('Last', plain(last)), field('Best bid', sized(bid, bidAmount), 'good'), field('Best ask', sized(offer, askAmount), 'bad'),
    ...([['Mark', mark], ['Index', index], ['Funding', fundingRate], ['Open interest', openInterest], ['24 h volume', volume24h]] as const).flatMap(optional),
    field('Quote', status === null ? 'no news' : `${status}, ${ago(receivedTs, nowTs)}`, toneOfAge(receivedTs === null ? null : (nowTs - receivedTs) / 1000)),
  ];
}

const tradeOf = ({ ts, side, price, amount }: Trades['trades'][number]): HTMLElement => h('tr', {},
  h('td', {}, clock(ts)), h('td', { class: side === 'buy' ? 'good' : 'bad' }, side), h('td', { class: 'num' }, trimmed(price)),
  h('td', { class: 'num' }, trimmed(amount)));
