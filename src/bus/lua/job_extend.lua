#!lua flags=allow-oom
-- KEYS: 1 leases   ARGV: 1 lease, 2 its length in ms from now   Returns 1, or 0 when the job was taken away.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
return 1
