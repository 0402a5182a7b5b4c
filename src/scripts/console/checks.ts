// What makes a page usable by everybody, asked of the page itself: names, labels, contrast, one main heading. Runs in the browser.
import type { Page } from 'playwright-core';

/** WCAG 2.2 AA for text of normal size. */
const CONTRAST = 4.5;

/** One line per offence; none: the page passes. */
export async function offences(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(${inPage.toString()})(${CONTRAST})`);
}

/** Self-contained: it is sent to the page as text. */
function inPage(least: number): string[] {
  const { document, getComputedStyle, Node } = globalThis as unknown as BrowserParts;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const found = new Set<string>();
  // Whatever a colour is written in (color-mix gives color(srgb …)), a canvas knows its bytes.
  const bytes = (colour: string): number[] => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb: number[]): number => {
    const [r = 0, g = 0, b = 0] = rgb.map((byte) => (byte / 255 <= 0.03928 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element: BrowserElement | null): number[] => {
    for (let each = element; each !== null; each = each.parentElement) {
      const rgba = bytes(getComputedStyle(each).backgroundColor);
      if ((rgba[3] ?? 0) > 250) return rgba;
    }
    return [255, 255, 255, 255];
  };
  const nameOf = (element: BrowserElement): string =>
    element.getAttribute('aria-label')
    ?? (element.textContent.trim() || element.getAttribute('title') || [...(element.labels ?? [])].map((label) => label.textContent).join(' '));
  const shown = (element: BrowserElement): string => `<${element.tagName.toLowerCase()}> ${element.textContent.trim().slice(0, 40)}`;
  for (const element of document.querySelectorAll('a, button, input, select, summary, meter, [role=img], [role=region]')) {
    if (nameOf(element).trim() === '') found.add(`without a name: ${element.outerHTML.slice(0, 90)}`);
  }
  for (const field of document.querySelectorAll('input, select')) {
    if ((field.labels?.length ?? 0) === 0) found.add(`without a label: ${field.outerHTML.slice(0, 90)}`);
  }
  for (const image of document.querySelectorAll('img')) if (image.getAttribute('alt') === null) found.add(`without alt: ${image.outerHTML.slice(0, 90)}`);
  if (document.querySelectorAll('h1').length !== 1) found.add(`${document.querySelectorAll('h1').length} main headings`);
  if ((document.documentElement.getAttribute('lang') ?? '') === '') found.add('the page tells no language');
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.add(`id ${id} twice`);
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== '');
    const { width, height, left } = element.getBoundingClientRect();
    if (!hasText || width === 0 || height === 0 || left < -500 || element.closest('[role=img], noscript') !== null) continue;
    const [a, b] = [luminance(bytes(getComputedStyle(element).color)), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least) found.add(`contrast ${contrast.toFixed(1)}: ${shown(element)}`);
  }
  return [...found];
}

/** The little of a browser that the checks use: the sources outside of its pages know none. */
interface BrowserElement {
  readonly tagName: string;
  readonly id: string;
  readonly outerHTML: string;
  readonly textContent: string;
  readonly parentElement: BrowserElement | null;
  readonly childNodes: Iterable<{ readonly nodeType: number; readonly textContent: string }>;
  readonly labels?: ArrayLike<BrowserElement> & Iterable<BrowserElement>;
  getAttribute(name: string): string | null;
  closest(selector: string): BrowserElement | null;
  getBoundingClientRect(): { width: number; height: number; left: number };
}
interface Canvas {
  width: number;
  height: number;
  getContext(kind: '2d', options: object): {
    fillStyle: string;
    clearRect(x: number, y: number, width: number, height: number): void;
    fillRect(x: number, y: number, width: number, height: number): void;
    getImageData(x: number, y: number, width: number, height: number): { data: Iterable<number> };
  };
}
interface BrowserParts {
  readonly document: {
    readonly documentElement: BrowserElement;
    querySelectorAll(selector: string): ArrayLike<BrowserElement> & Iterable<BrowserElement>;
    createElement(name: 'canvas'): Canvas;
  };
  readonly getComputedStyle: (element: BrowserElement) => { color: string; backgroundColor: string };
  readonly Node: { readonly TEXT_NODE: number };
}
