// Who we are at Deribit: a bearer token from client credentials, renewed before it ends. https://docs.deribit.com/articles/authentication
// The secret is used here and nowhere else; it never gets into a message.
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import { RpcError, RpcTransportError, type RpcCall } from '../../../net/json_rpc.ts';
import { whole } from '../../rest_reader.ts';
import { VenueError, type AccountIdentity, type Credentials } from '../../trading.ts';
import { codeName } from './codes.ts';
import { readAnswer } from './reports.ts';

/** Trade and read, nothing else: a token never has more than it needs, whatever the key may do. */
const SCOPE = 'session:executor trade:read_write account:read wallet:none';
/** Renewed after this part of its life: an order must never be the one that finds it expired. */
const RENEW_AFTER = 0.7;
/** Until then orders go out with it all the same: they do not wait for the renewal. */
const GOOD_FOR = 0.95;

const tokenSchema = z.object({ access_token: z.string().min(1), expires_in: whole, scope: z.string() });

export class Session {
  readonly #rpc: RpcCall;
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  #token: { value: string; renewAtMs: number; endsAtMs: number; scope: string } | null = null;
  #login: Promise<string> | null = null;

  constructor(rpc: RpcCall, credentials: Credentials, clock: Clock) {
    this.#rpc = rpc;
    this.#credentials = credentials;
    this.#clock = clock;
  }

  /** A token that is good now; logs in when there is none. Rejects with VenueError. */
  token(): Promise<string> {
    const token = this.#token;
    if (token !== null && this.#clock.monotonicMs() < token.renewAtMs) return Promise.resolve(token.value);
    this.#login ??= this.#logIn().finally(() => {
      this.#login = null;
    });
    return this.#login;
  }

  /** The token that is good now, or null: for those who must not wait. Whoever asks late in its life sets off the renewal. */
  ready(): string | null {
    const token = this.#token;
    const nowMs = this.#clock.monotonicMs();
    if (token !== null && nowMs < token.renewAtMs) return token.value;
    void this.token().catch(() => undefined);
    return token !== null && nowMs < token.endsAtMs ? token.value : null;
  }

  /** The exchange refused the token: the next call logs in again. */
  forget(value: string): void {
    if (this.#token?.value === value) this.#token = null;
  }

  async #logIn(): Promise<string> {
    const { clientId, clientSecret } = this.#credentials;
    const answer = await this.#rpc('public/auth', {
      grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope: SCOPE,
    }).catch((error: unknown) => {
      if (error instanceof RpcError) throw new VenueError(`login refused: ${codeName(error.code)}`, String(error.code), false);
      if (error instanceof RpcTransportError) throw new VenueError(`login: ${error.message}`, 'network', true);
      throw error;
    });
    const { access_token: value, expires_in: seconds, scope } = readAnswer(tokenSchema, answer, 'public/auth');
    const [nowMs, life] = [this.#clock.monotonicMs(), seconds * 1000];
    this.#token = { value, scope, renewAtMs: nowMs + life * RENEW_AFTER, endsAtMs: nowMs + life * GOOD_FOR };
    return value;
  }

  /**
   * What the key itself may do. Asked without a scope, as the answer then is all the key has: a token can always be narrowed, and
   * what matters is what a thief of the key could do.
   */
  async keyScopes(): Promise<string[]> {
    const { clientId, clientSecret } = this.#credentials;
    const answer = await this.#rpc('public/auth', { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret })
      .catch((error: unknown) => {
        if (error instanceof RpcError) throw new VenueError(`login refused: ${codeName(error.code)}`, String(error.code), false);
        throw new VenueError('login: no answer', 'network', true);
      });
    return readAnswer(tokenSchema, answer, 'public/auth').scope.split(' ').filter((word) => word !== '');
  }
}

/** Reads Deribit's scope words: `trade:read_write wallet:none account:read …`. */
export function identityOf(account: string, scopes: string[]): AccountIdentity {
  const hasWallet = scopes.some((scope) => scope.startsWith('wallet:') && scope !== 'wallet:none');
  return { account, scopes, hasWallet, mayTrade: scopes.includes('trade:read_write') };
}
