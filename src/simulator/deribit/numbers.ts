// Numbers as Deribit writes them: always a float, in whichever of plain and exponent form is strictly shorter
// (captures of 2026: 83216.0, 8.55e4, 1.0e3, 2.0e-5, -2.1714e-4).

/** The wire text of a plain decimal text. */
export function floatText(plain: string): string {
  const point = plain.indexOf('.');
  // Only a number with trailing (or many leading) zeros can be shorter with an exponent.
  if (point >= 0 && plain.charCodeAt(plain.length - 1) !== 48 && !plain.startsWith('0.000') && !plain.startsWith('-0.000')) return plain;
  const negative = plain.startsWith('-');
  const unsigned = negative ? plain.slice(1) : plain;
  const [whole = '0', rest = ''] = unsigned.split('.');
  const fraction = rest.replace(/0+$/, '');
  const shown = `${whole}.${fraction === '' ? '0' : fraction}`;
  const digits = (whole + fraction).replace(/^0+/, '').replace(/0+$/, '');
  if (digits === '') return '0.0';
  const exponent = whole === '0' ? -(fraction.length - fraction.replace(/^0+/, '').length) - 1 : whole.length - 1;
  const scientific = `${digits[0] ?? ''}.${digits.slice(1) || '0'}e${exponent}`;
  return (negative ? '-' : '') + (scientific.length < shown.length ? scientific : shown);
}

/** The wire text of a number with at most `decimals` decimals. */
export const floatOf = (value: number, decimals: number): string => floatText(value.toFixed(decimals));

/** A scaled integer (with a few decimals) as the wire writes it. */
export function scaledFloat(value: number, divisor: number, decimals: number): string {
  return floatText((value / divisor).toFixed(decimals));
}
