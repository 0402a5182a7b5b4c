#!lua flags=allow-oom
-- Takes a request's cost out of a rate limit's token bucket, shared by the whole fleet, by Redis' own clock.
-- KEYS: 1 budget:<pool>, 2 ban:<exchange>
-- ARGV: 1 cost, 2 capacity, 3 refill per second, 4 what must remain for the lanes above
-- Returns 0 when taken, else the ms to wait.
local ban = redis.call('PTTL', KEYS[2])
if ban > 0 then return ban end
local cost, capacity, refill = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local keep = math.max(0, math.min(tonumber(ARGV[4]), capacity - cost))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(bucket[1] or capacity), tonumber(bucket[2] or now)
level = math.min(capacity, level + math.max(0, now - at) * refill / 1000)
local wait = 0
if level - cost >= keep then level = level - cost else wait = math.ceil((cost + keep - level) / refill * 1000) end
redis.call('HSET', KEYS[1], 'level', tostring(level), 'at', now)
redis.call('PEXPIRE', KEYS[1], 3600000)
return wait
