// Cancel on disconnect: a connection that ends without logging out takes its own open orders with it. On for one connection, or for all
// connections of the account until one says otherwise.
import type { Desk, PrivateMethod } from './desk.ts';
import { wire } from './wire.ts';

const SCOPES = ['connection', 'account'] as const;

export class CancelOnDisconnect {
  readonly #cancel: (conn: number, nowMs: number) => void;
  readonly #connections = new Map<number, boolean>();
  /** Connections that nobody hears any more and whose end is noticed only later. */
  readonly #unheard = new Map<number, number>();
  account = false;

  constructor(cancel: (conn: number, nowMs: number) => void) {
    this.#cancel = cancel;
  }

  set(scope: 'connection' | 'account', conn: number, on: boolean): void {
    if (scope === 'account') this.account = on;
    else this.#connections.set(conn, on);
  }

  enabled(conn: number): boolean {
    return this.#connections.get(conn) ?? this.account;
  }

  /** The connection is seen to be gone. */
  fire(conn: number, nowMs: number): void {
    if (this.enabled(conn)) this.#cancel(conn, nowMs);
    this.forget(conn);
  }

  /** The connection is half open: its silence is noticed at `atMs`. */
  fireLater(conn: number, atMs: number): void {
    this.#unheard.set(conn, atMs);
  }

  /** It logged out: nothing is cancelled. */
  forget(conn: number): void {
    this.#connections.delete(conn);
    this.#unheard.delete(conn);
  }

  advance(nowMs: number): void {
    for (const [conn, atMs] of this.#unheard) if (atMs <= nowMs) this.fire(conn, nowMs);
  }
}

/** enable, disable and get, over WebSocket only. */
export function codMethods(desk: Desk): [string, PrivateMethod][] {
  const set = (on: boolean): PrivateMethod => ({
    realm: 'account', access: 'read_write', pool: 'default', socket: true,
    run: (params, { conn }) => {
      const scope = params.oneOf('scope', SCOPES, 'connection');
      if (conn !== null) desk.cod.set(scope, conn, on);
      return '"ok"';
    },
  });
  return [
    ['private/enable_cancel_on_disconnect', set(true)],
    ['private/disable_cancel_on_disconnect', set(false)],
    [
      'private/get_cancel_on_disconnect',
      {
        realm: 'account', access: 'read', pool: 'default', socket: true,
        run: (params, { conn }) => {
          const scope = params.oneOf('scope', SCOPES, 'connection');
          return wire({ scope, enabled: scope === 'account' ? desk.cod.account : conn !== null && desk.cod.enabled(conn) });
        },
      },
    ],
  ];
}
