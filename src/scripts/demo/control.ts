// The simulator's control port, as the demo uses it.

export interface FaultOrder {
  kind: string;
  market_id?: string;
  symbol?: string;
  channel?: string;
  duration_ms?: number;
  count?: number;
  probability?: number;
  mode?: string;
  factor?: number;
}

/** GET /control/state, as far as the demo reads it. */
export interface SimulatorState {
  rate: number;
  replay: { market_id: string; streams: string[]; running: boolean }[];
  markets: Record<string, {
    connections: { conn: number; streams?: string[]; channels?: string[] }[];
    instruments: { symbol: string }[];
  }>;
}

export class Control {
  readonly #base: string;

  constructor(simulatorUrl: string) {
    this.#base = `${simulatorUrl}/control`;
  }

  fault(order: FaultOrder): Promise<unknown> {
    return this.#call('POST', '/faults', order);
  }

  /** Ends every fault. */
  heal(): Promise<unknown> {
    return this.#call('DELETE', '/faults');
  }

  /** Generated trades per second over all markets; 0 stops the generators. */
  rate(tradesPerS: number): Promise<unknown> {
    return this.#call('POST', '/rate', { rate: tradesPerS });
  }

  state(): Promise<SimulatorState> {
    return this.#call('GET', '/state') as Promise<SimulatorState>;
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(this.#base + path, {
      method, signal: AbortSignal.timeout(5_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`simulator: ${method} /control${path}: ${response.status} ${text.slice(0, 200)}`);
    return text === '' ? null : JSON.parse(text);
  }
}
