#!lua flags=allow-oom
-- Goes on counting where the log of state changes ends, when Redis has lost the count.
-- KEYS 1 system:state:<exchange>:meta   ARGV 1 ver  2 epoch   Returns 1, or 0 when there is a count.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'ver', ARGV[1], 'epoch', ARGV[2])
return 1
