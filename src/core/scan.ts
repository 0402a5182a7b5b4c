// Where JSON tokens end, found in one pass over the text without building anything. A position, or -1: "unusual".
// Unusual is not invalid: escapes, control characters and text beyond ASCII are left to a real parser (core/json.ts),
// which also decides what is malformed. Every function accepts exactly a subset of what JSON accepts.

export const QUOTE = 34;
export const COMMA = 44;
export const MINUS = 45;
export const DOT = 46;
export const COLON = 58;
export const OPEN_BRACKET = 91;
export const BACKSLASH = 92;
export const CLOSE_BRACKET = 93;
export const OPEN_BRACE = 123;
export const CLOSE_BRACE = 125;
const ZERO = 48;
const PLUS = 43;
const LOWER_E = 101;
/** Deeper than any message of an exchange; a parser may go on. */
const MAX_DEPTH = 32;

/** The code at `at`, 0 past the end: an out-of-range charCodeAt would cost its compiled caller the fast form for good. */
export function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : 0;
}

export function isDigit(code: number): boolean {
  return code >= ZERO && code <= ZERO + 9;
}

/** The first position from `at` that is no JSON white space. */
export function skipSpace(text: string, at: number): number {
  let p = at;
  for (;;) {
    const c = codeAt(text, p);
    if (c > 32 || (c !== 32 && c !== 10 && c !== 13 && c !== 9)) return p;
    p++;
  }
}

/** `at` is the first character inside a string; the position of the closing quote. */
export function endOfString(text: string, at: number): number {
  const n = text.length;
  for (let p = at; p < n; p++) {
    const c = text.charCodeAt(p);
    if (c === QUOTE) return p;
    if (c === BACKSLASH || c < 32 || c > 126) return -1;
  }
  return -1;
}

function endOfDigits(text: string, at: number): number {
  let p = at;
  while (isDigit(codeAt(text, p))) p++;
  return p;
}

/** End of the number at `at`, doubled, plus one when it has an exponent. */
export function endOfNumber(text: string, at: number): number {
  let p = codeAt(text, at) === MINUS ? at + 1 : at;
  const first = codeAt(text, p);
  if (!isDigit(first)) return -1;
  p = first === ZERO ? p + 1 : endOfDigits(text, p + 1);
  let c = codeAt(text, p);
  if (c === DOT) {
    const fraction = p + 1;
    p = endOfDigits(text, fraction);
    if (p === fraction) return -1;
    c = codeAt(text, p);
  }
  if ((c | 32) !== LOWER_E) return p * 2;
  c = codeAt(text, ++p);
  if (c === PLUS || c === MINUS) p++;
  const exponent = p;
  p = endOfDigits(text, exponent);
  return p === exponent ? -1 : p * 2 + 1;
}

/** End of `true`, `false` or `null` at `at`. */
export function endOfLiteral(text: string, at: number): number {
  const c = codeAt(text, at);
  const word = c === 116 ? 'true' : c === 102 ? 'false' : c === 110 ? 'null' : '';
  return word !== '' && text.startsWith(word, at) ? at + word.length : -1;
}

/** End of any value at `at`, checked to its last character. */
export function endOfValue(text: string, at: number, depth = 0): number {
  const c = codeAt(text, at);
  if (c === QUOTE) {
    const end = endOfString(text, at + 1);
    return end < 0 ? -1 : end + 1;
  }
  if (c === OPEN_BRACE) return endOfObject(text, at, depth);
  if (c === OPEN_BRACKET) return endOfArray(text, at, depth);
  if (c === MINUS || isDigit(c)) {
    const end = endOfNumber(text, at);
    return end < 0 ? -1 : end >> 1;
  }
  return endOfLiteral(text, at);
}

function endOfArray(text: string, at: number, depth: number): number {
  if (depth >= MAX_DEPTH) return -1;
  let p = skipSpace(text, at + 1);
  if (codeAt(text, p) === CLOSE_BRACKET) return p + 1;
  for (;;) {
    p = endOfValue(text, p, depth + 1);
    if (p < 0) return -1;
    p = skipSpace(text, p);
    const c = codeAt(text, p);
    if (c === CLOSE_BRACKET) return p + 1;
    if (c !== COMMA) return -1;
    p = skipSpace(text, p + 1);
  }
}

function endOfObject(text: string, at: number, depth: number): number {
  if (depth >= MAX_DEPTH) return -1;
  let p = skipSpace(text, at + 1);
  if (codeAt(text, p) === CLOSE_BRACE) return p + 1;
  for (;;) {
    if (codeAt(text, p) !== QUOTE) return -1;
    p = endOfString(text, p + 1);
    if (p < 0) return -1;
    p = skipSpace(text, p + 1);
    if (codeAt(text, p) !== COLON) return -1;
    p = endOfValue(text, skipSpace(text, p + 1), depth + 1);
    if (p < 0) return -1;
    p = skipSpace(text, p);
    const c = codeAt(text, p);
    if (c === CLOSE_BRACE) return p + 1;
    if (c !== COMMA) return -1;
    p = skipSpace(text, p + 1);
  }
}
