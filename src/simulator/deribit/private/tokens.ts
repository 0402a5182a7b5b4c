// Access tokens: who may do what, where and until when. Deribit's authentication article: a token of the scope `connection` dies with
// its connection and is worth nothing elsewhere; one of `session:NAME` survives reconnects; refreshing voids the former pair.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Prng } from '../../prng.ts';
import { RpcError, type Params } from '../rpc.ts';

export type Realm = 'trade' | 'account' | 'wallet';
export type Access = 'none' | 'read' | 'read_write';
type Rights = Readonly<Record<Realm, Access>>;

interface Client {
  readonly secret: string;
  readonly rights: Rights;
}

/** Not secrets: the simulator's own keys. `sim-wallet` can move money, which a trading program must refuse to hold. */
const CLIENTS: ReadonlyMap<string, Client> = new Map([
  ['sim', { secret: 'sim-secret', rights: { trade: 'read_write', account: 'read_write', wallet: 'none' } }],
  ['sim-wallet', { secret: 'sim-wallet-secret', rights: { trade: 'read_write', account: 'read_write', wallet: 'read_write' } }],
  ['sim-read', { secret: 'sim-read-secret', rights: { trade: 'read', account: 'read', wallet: 'none' } }],
]);
const REALMS: readonly Realm[] = ['account', 'trade', 'wallet'];
const ORDER: readonly Access[] = ['none', 'read', 'read_write'];
const SIGNATURE_MS = 60_000;
/** Live connection tokens are reported to last so long. */
const LIFE_S = 900;

export interface Grant {
  readonly client: string;
  readonly rights: Rights;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly issuedMs: number;
  expiresMs: number;
  /** The WebSocket connection it is bound to; null: not bound, or issued over HTTP. */
  readonly conn: number | null;
  readonly http: boolean;
  readonly session: string | null;
  readonly scope: string;
}

export const unauthorized = (reason = 'invalid_token'): RpcError => new RpcError(13009, 'unauthorized', { reason, param: 'token' });

/** What an HTTP request brings in its Authorization header. */
export interface HttpCredentials {
  readonly header: string | null;
  readonly verb: string;
  /** Path and query below the venue's base. */
  readonly uri: string;
  readonly body: string;
}

export class Tokens {
  readonly #random: Prng;
  readonly #byToken = new Map<string, Grant>();
  readonly #byRefresh = new Map<string, Grant>();

  constructor(seed: number) {
    this.#random = new Prng(seed);
  }

  /** `public/auth` on a connection (null: HTTP). Throws RpcError 13004, 13009 or -32602. */
  auth(nowMs: number, params: Params, conn: number | null): Grant {
    const type = params.text('grant_type');
    if (type === 'refresh_token') return this.#refresh(nowMs, params.text('refresh_token'), params.optionalText('scope'), conn);
    const id = params.text('client_id');
    if (type === 'client_credentials') {
      if (CLIENTS.get(id)?.secret !== params.text('client_secret')) throw new RpcError(13004, 'invalid_credentials');
    } else if (type === 'client_signature') {
      const text = `${params.int('timestamp') ?? 0}\n${params.optionalText('nonce') ?? ''}\n${params.optionalText('data') ?? ''}`;
      this.#checkSignature(nowMs, id, params.int('timestamp') ?? 0, text, params.text('signature'));
    } else throw new RpcError(-32602, 'Invalid params', { reason: 'invalid value', param: 'grant_type' });
    return this.#issue(nowMs, id, params.optionalText('scope') ?? '', conn);
  }

  /** The grant of a token used on `conn` (null: HTTP); null when it is unknown, over, or bound to another connection. */
  find(nowMs: number, token: string, conn: number | null): Grant | null {
    const grant = this.#byToken.get(token);
    if (grant === undefined || nowMs >= grant.expiresMs) return null;
    if (grant.session !== null) return grant;
    return conn === null ? (grant.http ? grant : null) : grant.conn === conn ? grant : null;
  }

  /** The grant that an HTTP header stands for: a bearer token, basic credentials, or a signature of this very request. */
  ofHeader(nowMs: number, { header, verb, uri, body }: HttpCredentials): Grant | null {
    const [, scheme = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(header ?? '') ?? [];
    if (/^bearer$/i.test(scheme)) return this.find(nowMs, rest, null);
    if (/^basic$/i.test(scheme)) {
      const [id = '', secret] = Buffer.from(rest, 'base64').toString('utf8').split(':');
      return CLIENTS.get(id)?.secret === secret ? this.#issue(nowMs, id, '', null, false) : null;
    }
    if (!/^deri-hmac-sha256$/i.test(scheme)) return null;
    const fields = new Map(rest.split(',').map((part) => [part.slice(0, part.indexOf('=')).trim(), part.slice(part.indexOf('=') + 1).trim()] as const));
    const field = (name: string): string => fields.get(name) ?? '';
    this.#checkSignature(nowMs, field('id'), Number(field('ts')), `${field('ts')}\n${field('nonce')}\n${verb}\n${uri}\n${body}\n`, field('sig'));
    return this.#issue(nowMs, field('id'), '', null, false);
  }

  /** Voids a grant. */
  revoke(grant: Grant): void {
    this.#byToken.delete(grant.accessToken);
    this.#byRefresh.delete(grant.refreshToken);
  }

  /** The connection is gone, and what was bound to it. */
  disconnected(conn: number): void {
    for (const grant of [...this.#byToken.values()]) if (grant.conn === conn && grant.session === null) this.revoke(grant);
  }

  /** Every access token ends now; refresh tokens stay good. */
  expireAll(nowMs: number): number {
    for (const grant of this.#byToken.values()) grant.expiresMs = Math.min(grant.expiresMs, nowMs);
    return this.#byToken.size;
  }

  #refresh(nowMs: number, token: string, scope: string | null, conn: number | null): Grant {
    const old = this.#byRefresh.get(token);
    if (old === undefined || (old.session === null && old.conn !== conn)) throw unauthorized();
    this.revoke(old);
    return this.#issue(nowMs, old.client, scope ?? old.scope, conn);
  }

  #issue(nowMs: number, client: string, asked: string, conn: number | null, keep = true): Grant {
    const words = asked.split(/[\s,]+/).filter((word) => word !== '');
    const after = (prefix: string): string | null => words.find((word) => word.startsWith(prefix))?.slice(prefix.length) ?? null;
    const most = CLIENTS.get(client)?.rights ?? { trade: 'none', account: 'none', wallet: 'none' };
    // More than the key may is cut down without a word.
    const right = (realm: Realm): Access => {
      const wanted = after(`${realm}:`);
      const rank = ORDER.indexOf(wanted as Access);
      return rank < 0 ? most[realm] : (ORDER[Math.min(rank, ORDER.indexOf(most[realm]))] ?? 'none');
    };
    const rights: Rights = { trade: right('trade'), account: right('account'), wallet: right('wallet') };
    const session = after('session:');
    const life = Number(after('expires:') ?? LIFE_S);
    const scope = [session === null ? 'connection' : `session:${session}`, 'mainaccount', ...REALMS.map((realm) => `${realm}:${rights[realm]}`)].join(' ');
    const grant: Grant = {
      client, rights, accessToken: this.#secret(nowMs), refreshToken: this.#secret(nowMs), issuedMs: nowMs, conn, http: conn === null, session, scope,
      expiresMs: nowMs + (Number.isFinite(life) && life > 0 ? life : LIFE_S) * 1000,
    };
    if (!keep) return grant;
    // Without a session a new token of a connection voids the one before.
    if (session === null && conn !== null) this.disconnected(conn);
    this.#byToken.set(grant.accessToken, grant);
    this.#byRefresh.set(grant.refreshToken, grant);
    return grant;
  }

  #checkSignature(nowMs: number, id: string, timestampMs: number, text: string, signature: string): void {
    const client = CLIENTS.get(id);
    if (client === undefined) throw new RpcError(13004, 'invalid_credentials');
    if (!(Math.abs(nowMs - timestampMs) <= SIGNATURE_MS)) throw unauthorized('signature timestamp too far');
    const right = createHmac('sha256', client.secret).update(text).digest();
    const given = Buffer.from(signature, 'hex');
    if (given.length !== right.length || !timingSafeEqual(given, right)) throw unauthorized('invalid signature');
  }

  #secret(nowMs: number): string {
    const part = (): string => this.#random.u32().toString(36);
    return `${nowMs}.1${part()}.${part()}${part()}${part()}`;
  }
}

/** Members of the answer to public/auth. */
export const grantWire = (grant: Grant): { readonly [key: string]: string | number | readonly string[] | undefined } => ({
  access_token: grant.accessToken, expires_in: Math.round((grant.expiresMs - grant.issuedMs) / 1000), refresh_token: grant.refreshToken,
  scope: grant.scope, token_type: 'bearer', sid: grant.session ?? undefined, enabled_features: [],
});

/** Throws 13403 unless the grant reaches `needed` in the realm. */
export function demand(grant: Grant, realm: Realm, needed: Access): void {
  if (ORDER.indexOf(grant.rights[realm]) >= ORDER.indexOf(needed)) return;
  throw new RpcError(13403, 'scope_exceeded', { reason: `${realm}:${needed} is needed`, param: 'scope' });
}
