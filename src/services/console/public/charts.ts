// Charts in the colours of the page, painted anew when those change.
import {
  CandlestickSeries, HistogramSeries, LineSeries, createChart, type CandlestickData, type HistogramData, type IChartApi, type ISeriesApi, type UTCTimestamp,
} from 'lightweight-charts';
import type { Candles } from '../shown.ts';
import { CandleBook } from './candle_book.ts';
import { colours, onTheme } from './theme.ts';

type Candle = Candles['candles'][number];

const timeOf = (ts: number): UTCTimestamp => Math.floor(ts / 1_000_000) as UTCTimestamp;

function newChart(box: HTMLElement): IChartApi {
  // The logo would bring a style element along, which the page's policy refuses; the footer names TradingView instead.
  return createChart(box, { autoSize: true, layout: { attributionLogo: false, fontSize: 11 }, timeScale: { timeVisible: true, secondsVisible: false } });
}

function paint(chart: IChartApi): void {
  const { text, line, panel } = colours();
  chart.applyOptions({
    layout: { background: { color: panel }, textColor: text }, grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line }, timeScale: { borderColor: line },
  });
}

export class CandleChart {
  readonly #chart: IChartApi;
  readonly #candles: ISeriesApi<'Candlestick'>;
  readonly #volumes: ISeriesApi<'Histogram'>;
  readonly #leave: () => void;
  readonly #book = new CandleBook();

  constructor(box: HTMLElement) {
    this.#chart = newChart(box);
    this.#candles = this.#chart.addSeries(CandlestickSeries, {});
    this.#volumes = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false,
    });
    this.#chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.24 } });
    this.#leave = onTheme(() => this.#paint());
    this.#paint();
  }

  /** Of when the newest candle is, µs; 0: there is none. */
  get newest(): number {
    return this.#book.newest;
  }

  /** Shows candles beside those that are shown already. */
  show(candles: readonly Candle[]): void {
    const { newest } = this.#book;
    const painting = this.#book.take(candles);
    if (painting.paint === 'all') {
      this.#showAll();
      return;
    }
    for (const candle of painting.candles) {
      this.#candles.update(barOf(candle), candle.openTs < newest);
      this.#volumes.update(this.#volumeOf(candle), candle.openTs < newest);
    }
  }

  close(): void {
    this.#leave();
    this.#chart.remove();
  }

  #paint(): void {
    paint(this.#chart);
    const { good, bad } = colours();
    this.#candles.applyOptions({ upColor: good, downColor: bad, wickUpColor: good, wickDownColor: bad, borderVisible: false });
    if (this.#book.newest > 0) this.#volumes.setData(this.#book.candles.map((candle) => this.#volumeOf(candle)));
  }

  #showAll(): void {
    const { candles } = this.#book;
    // As many digits as the market's prices have.
    const digits = Math.min(10, Math.max(0, ...candles.slice(-20).map(({ close }) => (close.split('.')[1] ?? '').replace(/0+$/, '').length)));
    this.#candles.applyOptions({ priceFormat: { type: 'price', precision: digits, minMove: 10 ** -digits } });
    this.#candles.setData(candles.map(barOf));
    this.#volumes.setData(candles.map((candle) => this.#volumeOf(candle)));
  }

  #volumeOf({ openTs, open, close, volume }: Candle): HistogramData<UTCTimestamp> {
    const { good, bad } = colours();
    const color = (Number(close) >= Number(open) ? good : bad).replace('rgb(', 'rgba(').replace(')', ', 0.45)');
    return { time: timeOf(openTs), value: Number(volume), color };
  }
}

// A chart paints pixels: doubles are exact enough for it.
const barOf = ({ openTs, open, high, low, close }: Candle): CandlestickData<UTCTimestamp> =>
  ({ time: timeOf(openTs), open: Number(open), high: Number(high), low: Number(low), close: Number(close) });

export class LineChart {
  readonly #chart: IChartApi;
  readonly #line: ISeriesApi<'Line'>;
  readonly #leave: () => void;

  constructor(box: HTMLElement, digits: number) {
    this.#chart = newChart(box);
    this.#line = this.#chart.addSeries(LineSeries, { lineWidth: 2, priceFormat: { type: 'price', precision: digits, minMove: 10 ** -digits } });
    this.#leave = onTheme(() => this.#paint());
    this.#paint();
  }

  /** Oldest first; of several in one second the last counts. */
  set(points: readonly { at: number; total: string }[]): void {
    const bySecond = new Map(points.map(({ at, total }) => [timeOf(at), Number(total)]));
    this.#line.setData([...bySecond].map(([time, value]) => ({ time, value })));
    this.#chart.timeScale().fitContent();
  }

  close(): void {
    this.#leave();
    this.#chart.remove();
  }

  #paint(): void {
    paint(this.#chart);
    this.#line.applyOptions({ color: colours().accent });
  }
}
