// Who may do what on Redis: one user per service, with the keys, commands and channels that it needs and no others. The server's
// aclfile is generated from this table (aclFile), and acl.test.ts proves it on a real server.
//
// A rule of a user is a selector of Redis 7: its commands reach its keys only, so that what may SET its own heartbeat cannot
// SET a stream. Commands inside Lua scripts are checked like any others; EVAL itself must be let near every key that a script
// names, which gives nothing by itself (`scripts`). https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
import { createHash } from 'node:crypto';
import {
  banKey, budgetKey, channelSystemEventsKey, controlSubscriptionsKey, dlqKey, eventSeenKey, feedCarriersKey, feedSeqKey, feedWriterKey,
  heartbeatKey, jobsKey, leasedKey, leasesKey, queueAuditKey, queueOhlcWorkKey, queueTradeWorkKey, runsKey, slotKey, streamMarketDataKey,
  streamOrderUpdatesKey, streamSignalsKey, streamSystemEventsKey, symbolsKey, systemMemoryKey, tickerKey,
} from '../contracts/index.ts';
import { dlqKeyOf } from './dlq.ts';

export const REDIS_USERS = [
  'receiver', 'distributor', 'analyzer', 'backfill', 'executor', 'guard', 'governor', 'maintenance', 'notifier', 'strategy', 'console', 'operator',
] as const;
export type RedisUser = (typeof REDIS_USERS)[number];

interface Rule {
  /** Redis' names, `command|subcommand` included. */
  readonly commands: readonly string[];
  readonly keys: readonly string[];
}

interface Rights {
  readonly rules: readonly Rule[];
  /** Keys that scripts of this user name. */
  readonly scripts?: readonly string[];
  /** PUBLISH and SUBSCRIBE. */
  readonly channels?: readonly string[];
  /** Instead of the few commands without a key that every client needs. */
  readonly base?: readonly string[];
}

/** What any connection sends: the client's greeting and its question whether the server has loaded its data. */
const BASE = ['ping', 'quit', 'info', 'client|setname', 'time'];
const TRANSACTION = ['multi', 'exec', 'discard', 'unwatch'];

const ANY = '*';
const SUBSCRIPTIONS = 'subscriptions:*';
const STATES = 'system:state:*';
const SYMBOLS = [symbolsKey(ANY)];
const EVENTS = [streamSystemEventsKey];

const rule = (commands: readonly string[], ...keys: readonly string[]): Rule => ({ commands, keys });
const presence = (service: string): string[] => [heartbeatKey(service, ANY), slotKey(service, ANY)];
/** Heartbeat and instance number, and the events that a service tells. */
const member = (service: string): Rule[] => [rule(['get', 'set', 'del'], ...presence(service)), rule(['xadd'], ...EVENTS)];

/** Reads a stream as a member of a group, marks, claims and acknowledges; adds nothing to it and removes nothing from it. */
const consume = (stream: string): Rule[] => [
  rule([
    'xreadgroup', 'xread', 'xack', 'xclaim', 'xautoclaim', 'xpending', 'xinfo|stream', 'xinfo|groups', 'xgroup|create', 'xgroup|setid', 'xlen', 'xrange',
  ], stream),
  rule(['hget', 'hset', 'hdel', 'hmget', 'hkeys', 'hvals'], runsKey(stream, ANY)),
  rule(['xadd', 'xlen', 'xrange', 'type'], dlqKeyOf(stream)),
];
const consumed = (stream: string): string[] => [stream, runsKey(stream, ANY), dlqKeyOf(stream)];

const queueKeys = (queue: string): string[] => [queue, leasedKey(queue), leasesKey(queue), jobsKey(queue), dlqKey(queue)];
/** Puts jobs into queues. */
const ask = (...queues: string[]): Rule[] => [rule(['lpush', 'rpush', 'llen'], ...queues), rule(['sadd', 'sismember'], ...queues.map(jobsKey))];
/** Takes jobs out of queues under a lease, and settles them. */
const work = (...queues: string[]): Rule[] => [
  rule(['rpop', 'lpush', 'rpush', 'llen'], ...queues),
  rule(['hget', 'hset', 'hdel', 'hlen'], ...queues.map(leasedKey)),
  rule(['zadd', 'zrem', 'zscore', 'zrangebyscore'], ...queues.map(leasesKey)),
  rule(['sadd', 'srem', 'sismember', 'del'], ...queues.map(jobsKey)),
  // Of one EXISTS: one rule must let it near all of its keys.
  rule(['exists'], ...queues, ...queues.map(leasedKey)),
  rule(['xadd', 'xlen'], ...queues.map(dlqKey)),
];

const BUDGETS = [budgetKey(ANY), banKey(ANY)];
/** Asks exchanges within the fleet's rate limits. */
const spend = (): Rule[] => [rule(['hget', 'hset', 'hmget', 'pexpire'], budgetKey(ANY)), rule(['pttl', 'set'], banKey(ANY))];
/** Moves states by the compare-and-set script. */
const moveStates = (): Rule[] => [rule(['get', 'set', 'ttl', 'expire', 'exists', 'hget', 'hset', 'hmget', 'hgetall'], STATES)];
const readMemory = (): Rule => rule(['hget', 'hgetall'], systemMemoryKey);
const readStates = (): Rule => rule(['get', 'mget', 'hgetall'], STATES);

const RIGHTS: Readonly<Record<RedisUser, Rights>> = {
  receiver: {
    base: [...BASE, ...TRANSACTION, 'subscribe', 'unsubscribe', 'publish'],
    rules: [
      ...member('receiver'),
      rule(['xadd'], streamMarketDataKey),
      rule(['get', 'set', 'watch'], feedWriterKey(ANY)),
      rule(['hset', 'hget', 'hgetall'], feedSeqKey(ANY)),
      rule(['zadd', 'zrem', 'zcard', 'zremrangebyscore', 'pexpire'], feedCarriersKey(ANY)),
      rule(['sadd', 'srem', 'smembers', 'sismember'], SUBSCRIPTIONS),
      rule(['exists', 'smembers', 'smismember'], ...SYMBOLS),
      rule(['hset', 'hdel'], tickerKey(ANY, ANY)),
      readMemory(),
    ],
    scripts: [...presence('receiver'), ...EVENTS, feedWriterKey(ANY), feedCarriersKey(ANY), SUBSCRIPTIONS],
    channels: [channelSystemEventsKey, controlSubscriptionsKey(ANY)],
  },
  distributor: {
    base: [...BASE, 'publish'],
    rules: [...member('distributor'), ...consume(streamMarketDataKey)],
    scripts: [...presence('distributor'), ...EVENTS, ...consumed(streamMarketDataKey)],
    channels: [channelSystemEventsKey],
  },
  analyzer: {
    base: [...BASE, 'publish', 'subscribe', 'unsubscribe'],
    rules: [
      ...member('analyzer'), ...consume(streamMarketDataKey), rule(['set'], eventSeenKey(ANY)),
      rule(['xread', 'xrevrange'], streamMarketDataKey, streamSystemEventsKey), rule(['hget', 'hgetall', 'hmget'], tickerKey(ANY, ANY)),
      rule(['smembers', 'smismember', 'exists'], SUBSCRIPTIONS, ...SYMBOLS), readStates(), readMemory(),
    ],
    scripts: [...presence('analyzer'), ...EVENTS, ...consumed(streamMarketDataKey), eventSeenKey(ANY)],
    channels: [channelSystemEventsKey],
  },
  backfill: {
    base: [...BASE, 'publish'],
    rules: [...member('backfill'), ...work(queueTradeWorkKey, queueOhlcWorkKey), ...spend(), readMemory()],
    scripts: [...presence('backfill'), ...EVENTS, ...[queueTradeWorkKey, queueOhlcWorkKey].flatMap(queueKeys), ...BUDGETS],
    channels: [channelSystemEventsKey],
  },
  executor: {
    base: [...BASE, 'publish', 'subscribe', 'unsubscribe', 'scan'],
    rules: [
      ...member('executor'), ...consume(streamSignalsKey), ...ask(queueAuditKey), ...spend(), ...moveStates(), readMemory(),
      rule(['xadd'], streamOrderUpdatesKey),
      rule(['get', 'mget'], heartbeatKey('guard', ANY)),
      rule(['xread', 'xrange', 'xrevrange', 'xinfo|stream', 'xinfo|groups', 'xlen'], streamMarketDataKey, streamSystemEventsKey),
      rule(['hget', 'hgetall', 'hmget'], tickerKey(ANY, ANY)), rule(['smembers', 'sismember', 'smismember', 'exists'], ...SYMBOLS),
    ],
    scripts: [
      ...presence('executor'), ...EVENTS, ...consumed(streamSignalsKey), queueAuditKey, jobsKey(queueAuditKey), ...BUDGETS, STATES, streamOrderUpdatesKey,
    ],
    channels: [channelSystemEventsKey],
  },
  // Cancels when the executor has fallen silent: it must see that, and needs no more.
  guard: {
    base: [...BASE, 'publish', 'scan'],
    rules: [
      ...member('guard'), ...spend(), readStates(), rule(['get', 'mget', 'exists', 'pttl'], heartbeatKey('executor', ANY)),
      rule(['xadd'], streamOrderUpdatesKey),
    ],
    scripts: [...presence('guard'), ...EVENTS, ...BUDGETS, streamOrderUpdatesKey],
    channels: [channelSystemEventsKey],
  },
  // The janitor's one-shot bootstrap is the same work, and logs in as the same user.
  governor: {
    base: [...BASE, 'publish'],
    rules: [
      ...member('governor'), ...moveStates(), ...ask(queueTradeWorkKey, queueOhlcWorkKey), ...work(queueAuditKey), ...spend(),
      rule(['del', 'sadd', 'scard', 'smembers', 'exists'], ...SYMBOLS),
      rule(['srem', 'smembers'], SUBSCRIPTIONS),
      rule(['exists', 'xlen', 'xinfo|stream', 'xinfo|groups', 'xrevrange'], streamMarketDataKey),
      rule(['xlen'], dlqKeyOf(streamMarketDataKey)),
      rule(['hget'], tickerKey(ANY, ANY)),
    ],
    scripts: [
      ...presence('governor'), ...EVENTS, STATES, ...[queueTradeWorkKey, queueOhlcWorkKey, queueAuditKey].flatMap(queueKeys), ...BUDGETS, ...SYMBOLS,
    ],
    channels: [channelSystemEventsKey],
  },
  maintenance: {
    base: [...BASE, 'publish', 'scan', 'dbsize'],
    rules: [
      ...member('maintenance'), ...moveStates(),
      rule(['exists', 'xlen', 'xinfo|groups', 'xrevrange', 'xrange', 'xpending', 'xtrim'], streamMarketDataKey),
      rule(['xlen', 'xtrim'], 'dlq:*', ...EVENTS, streamOrderUpdatesKey),
      rule(['hget', 'unlink'], tickerKey(ANY, ANY)),
      rule(['hget', 'hset', 'hgetall', 'exists', 'expire'], systemMemoryKey),
      rule(['memory|usage'], ANY),
    ],
    scripts: [...presence('maintenance'), ...EVENTS, STATES, streamMarketDataKey, systemMemoryKey],
    channels: [channelSystemEventsKey],
  },
  notifier: {
    base: [...BASE, 'publish', 'subscribe', 'unsubscribe'],
    rules: [
      ...member('notifier'), ...consume(streamSystemEventsKey), rule(['xread', 'xrevrange'], streamSystemEventsKey, streamOrderUpdatesKey), readStates(),
    ],
    scripts: [...presence('notifier'), ...consumed(streamSystemEventsKey)],
    channels: [channelSystemEventsKey],
  },
  // Strategies from outside: they ask for orders, and read the market and what became of their orders.
  strategy: {
    base: [...BASE, 'subscribe', 'unsubscribe'],
    rules: [
      rule(['xadd'], streamSignalsKey),
      rule(['xread', 'xrange', 'xrevrange', 'xlen', 'xinfo|stream'], streamOrderUpdatesKey, streamMarketDataKey, streamSystemEventsKey),
      rule(['hget', 'hgetall', 'hmget'], tickerKey(ANY, ANY)), rule(['smembers', 'sismember'], ...SYMBOLS), readStates(),
    ],
    channels: [channelSystemEventsKey],
  },
  // Looks at everything and changes nothing.
  console: {
    base: [...BASE, 'scan', 'dbsize', 'subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe'],
    rules: [
      rule([
        'exists', 'type', 'ttl', 'pttl', 'get', 'mget', 'strlen', 'hget', 'hgetall', 'hmget', 'hlen', 'hkeys', 'hvals', 'hscan', 'llen', 'lrange', 'scard',
        'smembers', 'sismember', 'smismember', 'sscan', 'zcard', 'zrange', 'zscore', 'xlen', 'xrange', 'xrevrange', 'xread', 'xpending', 'xinfo|stream',
        'xinfo|groups', 'xinfo|consumers', 'memory|usage',
      ], ANY),
    ],
    channels: ['channel:*'],
  },
  // People and their commands (doctor, dlq, audit, system-lock, runbooks): their own server, all of it. No service logs in so.
  operator: {
    base: ['@all'],
    rules: [],
    channels: [ANY],
  },
};

/** Each user's password, as the service that logs in has it. */
export type RedisPasswords = Readonly<Record<RedisUser, string>>;

const words = (commands: readonly string[]): string => commands.map((name) => (/^[-+]/.test(name) ? name : `+${name}`)).join(' ');

function lineOf(user: RedisUser, password: string): string {
  const { base = BASE, rules, scripts = [], channels = [] } = RIGHTS[user];
  const reads = user === 'console' ? '%R~' : '~';
  const selectors = [...rules, ...(scripts.length === 0 ? [] : [rule(['eval', 'evalsha'], ...scripts)])].map(({ commands, keys }) =>
    `(${words(commands)} ${keys.map((key) => reads + key).join(' ')})`);
  return [
    `user ${user} on #${createHash('sha256').update(password).digest('hex')} resetkeys resetchannels -@all`,
    ...(user === 'operator' ? ['~*'] : []), ...channels.map((channel) => `&${channel}`), words(base), ...selectors,
  ].join(' ');
}

/**
 * The server's aclfile (redis-server --aclfile): the default user is off, so that nothing can be asked without a name. Passwords
 * stand in it as SHA-256 only.
 */
export function aclFile(passwords: RedisPasswords): string {
  return ['user default off resetpass resetkeys resetchannels -@all', ...REDIS_USERS.map((user) => lineOf(user, passwords[user])), ''].join('\n');
}
