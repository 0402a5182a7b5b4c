#!lua flags=allow-oom
-- Takes the oldest job under a lease; works when Redis is full (LMOVE would not).
-- KEYS: 1 queue, 2 leased jobs, 3 leases   ARGV: 1 lease, 2 its length in ms   Returns the payload, or nil.
local payload = redis.call('RPOP', KEYS[1])
if not payload then return false end
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], ARGV[1], payload)
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
return payload
