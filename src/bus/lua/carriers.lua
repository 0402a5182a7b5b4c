#!lua flags=allow-oom
-- Tells that a writer carries a market for a while, or (ttl 0) no longer does.
-- KEYS 1 feed:carriers:<market_id>   ARGV 1 writer  2 ttl ms
-- Reply: how many others carry it. Whoever leaves is gone before it counts, so of two that leave at once one sees none.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ttl = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREM', KEYS[1], ARGV[1])
local others = redis.call('ZCARD', KEYS[1])
if ttl > 0 then
  redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return others
