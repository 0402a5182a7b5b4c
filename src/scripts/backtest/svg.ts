// The equity curve as a picture: worth over time, the deposit as a dashed line, the largest drawdown shaded.
import type { Report } from './report.ts';

const WIDTH = 960;
const HEIGHT = 360;
const LEFT = 88;
const RIGHT = 16;
const TOP = 40;
const BOTTOM = 34;
const LINES = 5;

/** A standalone SVG document. The same report gives the same bytes. */
export function equitySvg(report: Report): string {
  const points = report.curve.map(([time, worth]): [number, number] => [Date.parse(time), worth]);
  const start = Number(report.deposit);
  const [from, to] = [points[0]?.[0] ?? Date.parse(report.from), points.at(-1)?.[0] ?? Date.parse(report.until)];
  const worths = [start, ...points.map(([, worth]) => worth)];
  const [low, high] = padded(Math.min(...worths), Math.max(...worths));
  const x = (ms: number): string => (LEFT + ((ms - from) / Math.max(1, to - from)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const y = (worth: number): string => (HEIGHT - BOTTOM - ((worth - low) / (high - low)) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const path = points.map(([ms, worth], i) => `${i === 0 ? 'M' : 'L'}${x(ms)} ${y(worth)}`).join('');
  const shade = [Date.parse(report.max_drawdown_from), Date.parse(report.max_drawdown_to)].map((ms) => Number(x(Math.max(from, ms))));
  const grid = Array.from({ length: LINES }, (_line, i) => low + ((high - low) * i) / (LINES - 1));
  const figures = `${report.return_percent.toFixed(2)} %, drawdown ${report.max_drawdown_percent.toFixed(2)} %`;
  const title = `${report.strategy} on ${report.market} ${report.symbol}: ${figures}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title><rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="22" font-size="14">${escaped(title)}</text>`,
    `<rect x="${shade[0]}" y="${TOP}" width="${((shade[1] ?? 0) - (shade[0] ?? 0)).toFixed(1)}" height="${HEIGHT - TOP - BOTTOM}" fill="#d33" opacity="0.08"/>`,
    ...grid.map((worth) => `<path d="M${LEFT} ${y(worth)}H${WIDTH - RIGHT}" stroke="#ddd"/><text x="${LEFT - 6}" y="${y(worth)}" dy="4" text-anchor="end">`
      + `${worth.toPrecision(6)}</text>`),
    `<path d="M${LEFT} ${y(start)}H${WIDTH - RIGHT}" stroke="#888" stroke-dasharray="4 4"/>`,
    `<path d="${path}" fill="none" stroke="#1a6" stroke-width="1.5"/>`,
    ...[from, to].map((ms, i) => `<text x="${x(ms)}" y="${HEIGHT - 12}" text-anchor="${i === 0 ? 'start' : 'end'}">${minute(ms)}</text>`),
    `<text x="${LEFT - 6}" y="22" text-anchor="end">${escaped(report.currency)}</text>`,
    '</svg>\n',
  ].join('\n');
}

/** A flat line still has a scale. */
function padded(low: number, high: number): [number, number] {
  const room = (high - low) * 0.05 || Math.abs(high) * 0.01 || 1;
  return [low - room, high + room];
}

const minute = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`;
const escaped = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
