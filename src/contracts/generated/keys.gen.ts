// Generated from docs/system_contracts.yml by `npm run contracts`. Do not edit.

/** stream: never XADD MAXLEN; partition n of several is stream:market_data:{n} */
export const streamMarketDataKey = 'stream:market_data';

/** stream */
export const dlqStreamMarketDataKey = 'dlq:stream:market_data';

/** list: LPUSH by whoever wants work done; popped from the right under a lease */
export const queueTradeWorkKey = 'queue:trade_work';

/** list: as queue:trade_work */
export const queueOhlcWorkKey = 'queue:ohlc_work';

/** list: as queue:trade_work; the governor works on it */
export const queueAuditKey = 'queue:audit';

/** hash: lease → payload of jobs that workers have in hand */
export const leasedKey = (queue: string): string => `leased:${queue}`;

/** zset: lease → ms since the epoch (Redis clock) when the job returns to the queue */
export const leasesKey = (queue: string): string => `leases:${queue}`;

/** set: job_ids that are queued or in hand */
export const jobsKey = (queue: string): string => `jobs:${queue}`;

/** stream: capped at about 10000 entries */
export const dlqKey = (queue: string): string => `dlq:${queue}`;

/** hash: token bucket of one rate limit of an exchange: level and when it was; TTL 1 h */
export const budgetKey = (pool: string): string => `budget:${pool}`;

/** string: why nothing may be asked; lives as long as the ban */
export const banKey = (exchange: string): string => `ban:${exchange}`;

/** stream: field mac beside payload: hex HMAC-SHA256 of it, where SIGNAL_KEY_FILE is set */
export const streamSignalsKey = 'stream:signals';

/** stream: capped at about 100000 entries */
export const streamOrderUpdatesKey = 'stream:order_updates';

/** stream: capped at about 10000 entries */
export const streamSystemEventsKey = 'stream:system_events';

/** string: an event of the analyzer that was published: a redelivery does not publish it again; TTL 1 day */
export const eventSeenKey = (eventId: string): string => `event:seen:${eventId}`;

/** pubsub */
export const channelSystemEventsKey = 'channel:system_events';

/** pubsub */
export const controlSubscriptionsKey = (marketId: string): string => `control:${marketId}:subscriptions`;

/** set: wanted channel:symbol members; survives restarts */
export const subscriptionsKey = (marketId: string): string => `subscriptions:${marketId}`;

/** set: the members that configuration asked for when it was last applied; only its changes are applied again, so that commands outlive restarts */
export const subscriptionsConfigKey = (marketId: string): string => `subscriptions:${marketId}:config`;

/** set: wanted channel:pattern members (trade:BTC-*-C, ticker:kind:perpetual); survives restarts */
export const subscriptionsPatternsKey = (marketId: string): string => `subscriptions:${marketId}:patterns`;

/** set: the patterns that configuration asked for when it was last applied */
export const subscriptionsPatternsConfigKey = (marketId: string): string => `subscriptions:${marketId}:patterns:config`;

/** set: members of subscriptions:<market_id> that are there because a pattern matches; they leave with it */
export const subscriptionsMatchedKey = (marketId: string): string => `subscriptions:${marketId}:matched`;

/** set: those of symbols:<market_id> of one kind: spot, perpetual, future, option, combo */
export const symbolsKindKey = (marketId: string, kind: string): string => `symbols:${marketId}:kind:${kind}`;

/** set: tradable symbols as the janitor last saw them; what a subscription is checked against */
export const symbolsKey = (marketId: string): string => `symbols:${marketId}`;

/** hash: latest ticker fields plus exchange_ts, received_ts and feed_status */
export const tickerKey = (marketId: string, symbol: string): string => `ticker:${marketId}:${symbol}`;

/** hash: runs of entries that one consumer works on: first id → "last id, entries, consumer"; only the first one is in the group's list of pending entries, and stands for the run */
export const runsKey = (stream: string, group: string): string => `runs:${stream}:${group}`;

/** hash: symbol → last published seq, written in the transaction that publishes; a restarted receiver finds its gap by it */
export const feedSeqKey = (marketId: string): string => `feed:seq:${marketId}`;

/** zset: writer → ms since the epoch (Redis clock) until which a receiver says that it carries the market; one that loses it tells disconnected only when no other does */
export const feedCarriersKey = (marketId: string): string => `feed:carriers:${marketId}`;

/** string: number of the last batch a receiver published; keeps batches in order and single when they are sent again; TTL 1 h */
export const feedWriterKey = (writer: string): string => `feed:writer:${writer}`;

/** string: bare state name */
export const systemStateKey = (exchange: string): string => `system:state:${exchange}`;

/** hash: ver, epoch, at, by, reason */
export const systemStateMetaKey = (exchange: string): string => `system:state:${exchange}:meta`;

/** string: the aggregate */
export const systemStateSimpleKey = 'system:state:simple';

/** hash: level (of the memory ladder), ratio (used of maxmemory), at, since (µs); written by maintenance each second, gone 30 s after the last one */
export const systemMemoryKey = 'system:memory';

/** string: JSON liveness, version, build; of the executor also boot, account, mode and role; of the guard armed, account and the boots it watches; TTL 10 s */
export const heartbeatKey = (service: string, instance: string): string => `heartbeat:${service}:${instance}`;

/** string: lease of an instance number; host, pid and token of its holder */
export const slotKey = (service: string, instance: string): string => `slot:${service}:${instance}`;
