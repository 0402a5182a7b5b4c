// Decimal text without floats. Deribit writes ordinary prices as 8.55e4 or 7.4E+4; a contract decimal has no exponent.

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const PLAIN = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
/** 1e400 is a number to JSON, but not one the contracts can hold. */
const MAX_DIGITS = 30;

/** The same value as a JSON number's text, without exponent; the wire's own digits are kept. null when it is no number or too long. */
export function plainDecimal(text: string): string | null {
  if (PLAIN.test(text)) return text;
  if (!JSON_NUMBER.test(text)) return null;
  const at = text.search(/[eE]/);
  const exponent = Number(text.slice(at + 1));
  if (Math.abs(exponent) > MAX_DIGITS) return null;
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = text.slice(negative ? 1 : 0, at).split('.');
  const digits = whole + fraction;
  const point = whole.length + exponent;
  const padded = point <= 0 ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0');
  const split = Math.max(point, 1);
  const integer = padded.slice(0, split).replace(/^0+(?=\d)/, '');
  const rest = padded.slice(split).replace(/0+$/, '');
  return (negative ? '-' : '') + (rest === '' ? integer : `${integer}.${rest}`);
}
