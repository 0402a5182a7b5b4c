import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalRedis } from '../scripts/local/redis.ts';
import { ownRedis, redisServerInstalled } from '../testing/servers.ts';
import { aclFile, REDIS_USERS, type RedisPasswords, type RedisUser } from './acl.ts';

const PASSWORDS = Object.fromEntries(REDIS_USERS.map((user) => [user, `secret-of-${user}`])) as RedisPasswords;
const ALL = REDIS_USERS;
const but = (...users: RedisUser[]): RedisUser[] => ALL.filter((user) => !users.includes(user));

const STATE_WRITERS: readonly RedisUser[] = ['executor', 'governor', 'maintenance', 'operator'];
const STATE_READERS: readonly RedisUser[] = [...STATE_WRITERS, 'analyzer', 'guard', 'notifier', 'strategy', 'console'];
const EVENT_WRITERS = but('strategy', 'console');

/** A command, and who may give it; everybody else must hear NOPERM. */
const MATRIX: readonly (readonly [command: string, users: readonly RedisUser[]])[] = [
  ['PING', ALL],
  ['XADD stream:market_data * payload x', ['receiver', 'operator']],
  ['XADD stream:signals * payload x', ['strategy', 'operator']],
  ['XADD stream:order_updates * payload x', ['executor', 'guard', 'operator']],
  ['XADD stream:system_events * payload x', EVENT_WRITERS],
  ['XADD dlq:stream:market_data * payload x', ['distributor', 'analyzer', 'operator']],
  ['XADD dlq:stream:signals * payload x', ['executor', 'operator']],
  ['XADD dlq:queue:trade_work * payload x', ['backfill', 'operator']],
  ['XREADGROUP GROUP g c COUNT 1 STREAMS stream:market_data >', ['distributor', 'analyzer', 'operator']],
  ['XREADGROUP GROUP g c COUNT 1 STREAMS stream:signals >', ['executor', 'operator']],
  ['XACK stream:market_data g 1-1', ['distributor', 'analyzer', 'operator']],
  ['XRANGE stream:market_data - + COUNT 1', ['distributor', 'analyzer', 'executor', 'maintenance', 'strategy', 'console', 'operator']],
  ['XRANGE stream:signals - + COUNT 1', ['executor', 'console', 'operator']],
  ['XTRIM stream:market_data MAXLEN 100', ['maintenance', 'operator']],
  ['XTRIM dlq:stream:market_data MAXLEN 100', ['maintenance', 'operator']],
  ['XDEL stream:market_data 1-1', ['operator']],
  ['XGROUP DESTROY stream:market_data nobody', ['operator']],
  ['DEL stream:market_data:gone', ['operator']],
  ['SET stream:market_data x', ['operator']],
  ['DEL stream:market_data', ['operator']],
  ['SET system:state:deribit LOCKED', STATE_WRITERS],
  ['SET system:state:simple HEALTHY', STATE_WRITERS],
  ['HSET system:state:deribit:meta ver 1', STATE_WRITERS],
  ['GET system:state:simple', STATE_READERS],
  ['HSET system:memory level normal', ['maintenance', 'operator']],
  ['HGETALL system:memory', ['receiver', 'analyzer', 'backfill', 'executor', 'maintenance', 'console', 'operator']],
  ['LPUSH queue:trade_work {}', ['backfill', 'governor', 'operator']],
  ['RPUSH queue:trade_work {}', ['backfill', 'governor', 'operator']],
  ['RPOP queue:trade_work', ['backfill', 'operator']],
  ['LPUSH queue:audit {}', ['executor', 'governor', 'operator']],
  ['RPOP queue:audit', ['governor', 'operator']],
  ['HSET leased:queue:ohlc_work a b', ['backfill', 'operator']],
  ['HSET budget:deribit level 1', ['backfill', 'executor', 'guard', 'governor', 'operator']],
  ['SET ban:deribit x PX 10', ['backfill', 'executor', 'guard', 'governor', 'operator']],
  ['HSET ticker:deribit:BTC-PERPETUAL a 1', ['receiver', 'operator']],
  ['HGETALL ticker:deribit:BTC-PERPETUAL', ['analyzer', 'executor', 'strategy', 'console', 'operator']],
  ['UNLINK ticker:deribit:BTC-PERPETUAL', ['maintenance', 'operator']],
  ['SET event:seen:a 1 NX PX 10', ['analyzer', 'operator']],
  ['SADD subscriptions:deribit trade:X', ['receiver', 'operator']],
  ['SADD symbols:deribit X', ['governor', 'operator']],
  ['SMEMBERS symbols:deribit', ['receiver', 'analyzer', 'executor', 'governor', 'strategy', 'console', 'operator']],
  ['HSET feed:seq:deribit X 1', ['receiver', 'operator']],
  ...(['receiver', 'distributor', 'analyzer', 'backfill', 'executor', 'guard', 'governor', 'maintenance', 'notifier'] as const).map((service) =>
    [`SET heartbeat:${service}:1 {} PX 10`, [service, 'operator']] as const),
  ['MGET heartbeat:executor:1', ['guard', 'console', 'operator']],
  ['PUBLISH channel:system_events x', EVENT_WRITERS],
  ['PUBLISH control:deribit:subscriptions x', ['receiver', 'operator']],
  ['PUBLISH somewhere:else x', ['operator']],
  ['SCAN 0', ['executor', 'guard', 'maintenance', 'console', 'operator']],
  ['MEMORY USAGE stream:market_data', ['maintenance', 'console', 'operator']],
  ['SET anything x', ['operator']],
  ['GET anything', ['console', 'operator']],
  ['CONFIG SET maxmemory 0', ['operator']],
  ['CONFIG GET maxmemory', ['operator']],
];

/** What is about the server and not about the data: for people alone. Asked without running it: the server shall outlive the test. */
const SERVER = [
  'FLUSHALL', 'FLUSHDB', 'KEYS *', 'SHUTDOWN NOSAVE', 'MODULE LIST', 'REPLICAOF NO ONE', 'ACL LIST', 'ACL SETUSER evil on', 'SAVE', 'BGREWRITEAOF',
  'CLIENT KILL TYPE pubsub', 'SCRIPT FLUSH', 'FUNCTION FLUSH', 'MIGRATE h 1 k 0 1', 'RESTORE k 0 x', 'SWAPDB 0 1', 'CONFIG REWRITE', 'LATENCY RESET',
];

/** A script can do what its user can, and no more. */
const SCRIPTS: readonly (readonly [script: string, key: string, users: readonly RedisUser[]])[] = [
  [`return redis.call('SET', KEYS[1], 'HEALTHY')`, 'system:state:deribit', STATE_WRITERS],
  [`return redis.call('XADD', KEYS[1], '*', 'payload', 'x')`, 'stream:market_data', ['operator']],
  [`return redis.call('DEL', KEYS[1])`, 'stream:market_data', ['operator']],
  [`return redis.call('SET', KEYS[1], 'x')`, 'stream:system_events', ['operator']],
  [`return redis.call('FLUSHALL')`, 'stream:system_events', ['operator']],
];

const REFUSED = /NOPERM|can't run this command|can't access at least one|has no permissions|cannot access/;

describe.skipIf(!redisServerInstalled())('users of Redis', () => {
  let server: LocalRedis;
  const clients = new Map<RedisUser, Redis>();

  beforeAll(async () => {
    server = await ownRedis({ passwords: PASSWORDS });
    for (const user of REDIS_USERS) clients.set(user, new Redis(server.urlOf(user), { maxRetriesPerRequest: 0 }));
  });
  afterAll(async () => {
    for (const client of clients.values()) client.disconnect();
    await server.remove();
  });

  /** Who is not refused; any other error of the command means that it was let through. */
  async function allowed(name: string, args: readonly string[]): Promise<RedisUser[]> {
    const answers = await Promise.all([...clients].map(async ([user, client]) => {
      const message = await client.call(name, ...args).then(() => '', (error: unknown) => (error as Error).message);
      return REFUSED.test(message) ? [] : [user];
    }));
    return answers.flat();
  }

  const inOrder = (users: readonly RedisUser[]): RedisUser[] => REDIS_USERS.filter((user) => users.includes(user));

  it.each(MATRIX)('%s', async (command, users) => {
    // What was lost by one probe is there for the next.
    await clients.get('operator')!.xgroup('CREATE', 'stream:market_data', 'g', '0', 'MKSTREAM').catch(() => undefined);
    const [name = '', ...args] = command.split(' ');
    expect(await allowed(name, args)).toEqual(inOrder(users));
    await clients.get('operator')!.del('stream:market_data', 'queue:trade_work', 'queue:audit');
  });

  it.each(SERVER)('%s', async (command) => {
    const operator = clients.get('operator')!;
    const answers = await Promise.all(REDIS_USERS.map(async (user) => [user, await operator.call('ACL', 'DRYRUN', user, ...command.split(' '))] as const));
    expect(answers.filter(([, answer]) => answer === 'OK').map(([user]) => user)).toEqual(['operator']);
  });

  it.each(SCRIPTS)('in a script: %s on %s', async (script, key, users) => {
    expect(await allowed('EVAL', [script, '1', key])).toEqual(inOrder(users));
    await clients.get('operator')!.del(key);
  });

  it('are let in by their passwords, and nobody else is', async () => {
    const address = new URL(server.url).host;
    const ask = async (url: string): Promise<string> => {
      const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null, enableReadyCheck: false });
      client.on('error', () => undefined);
      const said = await client.ping().catch((error: unknown) => (error as Error).message);
      client.disconnect();
      return said;
    };
    expect(await ask(`redis://${address}`)).toMatch(/NOAUTH/);
    expect(await ask(`redis://default:${PASSWORDS.operator}@${address}`)).toMatch(/WRONGPASS|NOAUTH|closed/);
    expect(await ask(`redis://operator:${PASSWORDS.receiver}@${address}`)).toMatch(/WRONGPASS|NOAUTH|closed/);
    expect(await ask(server.url)).toBe('PONG');
  });

  it('keep their passwords out of the file and of the command line', () => {
    const text = aclFile(PASSWORDS);
    for (const password of Object.values(PASSWORDS)) expect(text).not.toContain(password);
    expect(text.split('\n').filter((line) => line !== '')).toHaveLength(REDIS_USERS.length + 1);
    expect(text).toMatch(/^user default off/);
    // Protected mode takes such a default user for an open server, and refuses everybody who is not on loopback.
    expect(text).not.toContain('nopass');
  });
});
