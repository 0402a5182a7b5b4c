#!lua flags=allow-oom
-- Tells an event to whoever listens, and keeps it in the capped stream. Works when Redis is full: that is when it matters.
-- KEYS: 1 stream:system_events
-- ARGV: 1 channel, 2 event as JSON, 3 about how many entries to keep
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'payload', ARGV[2])
return redis.call('PUBLISH', ARGV[1], ARGV[2])
