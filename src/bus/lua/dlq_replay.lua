#!lua
-- Puts a dead letter back into the stream it came from, once. Without allow-oom: a full Redis refuses before the letter is gone.
-- KEYS: 1 dead-letter stream, 2 stream   ARGV: 1 id of the dead letter, 2 payload
-- Returns the new entry's id, or '' when the letter is not there any more.
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return '' end
return redis.call('XADD', KEYS[2], '*', 'payload', ARGV[2])
