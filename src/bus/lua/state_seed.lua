#!lua flags=allow-oom
-- Goes on counting where the log of state changes ends, when Redis has lost the count; who changed it last to what goes on, too, so
-- that a lock outlives the loss.
-- KEYS 1 system:state:<exchange>:meta   ARGV 1 ver  2 epoch  3 state ('' unknown)  4 by  5 reason   Returns 1, or 0 when there is a count.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'ver', ARGV[1], 'epoch', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'state', ARGV[3], 'by', ARGV[4], 'reason', ARGV[5]) end
return 1
