#!lua flags=allow-oom
-- Tells an event whose id says what it is, unless it was told before: a redelivery or a repeated call publishes nothing.
-- KEYS: 1 stream:system_events, 2 event:seen:<event_id>
-- ARGV: 1 channel, 2 event as JSON, 3 about how many entries to keep, 4 ms to remember the id
-- Returns 1 when this call published it.
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[4]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'payload', ARGV[2])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
