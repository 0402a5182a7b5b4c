// Black-Scholes, so that option quotes and greeks hang together.

const YEAR_MS = 365 * 86_400_000;

export interface OptionFigures {
  /** In the underlying coin (inverse options). */
  price: number;
  delta: number;
  gamma: number;
  vega: number;
  theta: number;
  rho: number;
}

/** Figures of a European option on a future at `forward`; `iv` as a fraction, rates zero. */
export function optionFigures(type: 'call' | 'put', forward: number, strike: number, iv: number, leftMs: number): OptionFigures {
  const t = Math.max(leftMs, 3_600_000) / YEAR_MS;
  const sigma = iv * Math.sqrt(t);
  const d1 = (Math.log(forward / strike) + (sigma * sigma) / 2) / sigma;
  const d2 = d1 - sigma;
  const density = Math.exp((-d1 * d1) / 2) / Math.sqrt(2 * Math.PI);
  const sign = type === 'call' ? 1 : -1;
  const usd = sign * (forward * normal(sign * d1) - strike * normal(sign * d2));
  return {
    price: usd / forward,
    delta: sign * normal(sign * d1),
    gamma: density / (forward * sigma),
    vega: (forward * density * Math.sqrt(t)) / 100,
    theta: (-forward * density * iv) / (2 * Math.sqrt(t)) / 365,
    rho: (sign * strike * t * normal(sign * d2)) / 100,
  };
}

/** Cumulative normal distribution (Zelen and Severo 26.2.17, error below 7.5e-8). */
function normal(x: number): number {
  if (x < 0) return 1 - normal(-x);
  const k = 1 / (1 + 0.2316419 * x);
  const poly = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
  return 1 - (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * poly;
}
