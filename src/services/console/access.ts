// Who may look. On loopback everybody of this machine; anywhere else whoever holds the token, as `Authorization: Bearer …` or in the
// cookie that /api/session gives for it.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { UsageError } from '../../core/errors.ts';
import type { ConsoleConfig } from '../../runtime/console_env.ts';

const COOKIE = 'tapekeeper_console';
const MIN_TOKEN = 16;

export interface Asker {
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  readonly host: string | undefined;
}

export interface Access {
  /** null: come in; else why not. */
  refuse(asker: Asker): { status: 401 | 403; code: string; message: string } | null;
  /** Set-Cookie for who has shown the token. */
  readonly cookie: string;
  readonly needsToken: boolean;
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** Throws UsageError when the console could be reached from elsewhere without a token. */
export function accessOf({ host, published, token }: ConsoleConfig): Access {
  const [name, reachable] = published === null ? ['CONSOLE_HOST', host] : ['CONSOLE_PUBLISHED', published];
  if (token === null && !isLoopback(reachable)) {
    const why = 'is not loopback, and CONSOLE_TOKEN_FILE is not set: the console shows everything to whoever asks';
    throw new UsageError(`${name}: ${JSON.stringify(reachable)} ${why}`);
  }
  if (token !== null && token.length < MIN_TOKEN) throw new UsageError(`CONSOLE_TOKEN: ${token.length} characters, at least ${MIN_TOKEN} are needed`);
  // What a browser keeps is not the token itself.
  const session = createHmac('sha256', token ?? '').update('console session').digest('base64url');
  return {
    needsToken: token !== null,
    cookie: `${COOKIE}=${session}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000`,
    refuse(asker) {
      if (token === null) {
        // Another site's name that resolves to this machine (DNS rebinding) must not read through the user's browser.
        const asked = hostOf(asker.host);
        if (isLoopback(asked)) return null;
        const message = `Host: ${JSON.stringify(asked.slice(0, 100))} is not this machine; open http://127.0.0.1 instead`;
        return { status: 403, code: 'foreign_host', message };
      }
      const bearer = /^Bearer +(\S+)$/i.exec(asker.authorization ?? '')?.[1];
      if (bearer !== undefined && same(bearer, token)) return null;
      const kept = cookieOf(asker.cookie ?? '');
      if (kept !== undefined && same(kept, session)) return null;
      const given = bearer ?? kept;
      const message = given === undefined ? 'a token is needed: Authorization: Bearer <token>, or sign in at /' : 'the token is not the right one';
      return { status: 401, code: given === undefined ? 'token_missing' : 'token_wrong', message };
    },
  };
}

const hostOf = (header: string | undefined): string => (header ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1').toLowerCase();

const cookieOf = (header: string): string | undefined =>
  header.split(';').map((part) => part.trim()).find((part) => part.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);

/** In a time that tells nothing: digests are of one length. */
function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
