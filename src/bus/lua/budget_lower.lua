#!lua flags=allow-oom
-- Corrects a bucket by what the exchange itself says is left: never upwards.
-- KEYS: 1 budget:<pool>   ARGV: 1 what is left at most
local level = tonumber(redis.call('HGET', KEYS[1], 'level') or '-1')
local left = math.max(0, tonumber(ARGV[1]))
if level <= left then return 0 end
redis.call('HSET', KEYS[1], 'level', tostring(left))
return 1
