#!lua flags=allow-oom
-- Writes the level of the memory ladder, unless another watcher has moved it since the caller looked.
-- KEYS: 1 system:memory   ARGV: 1 level the caller saw, 2 new level, 3 ratio, 4 now in µs, 5 TTL in s   Returns 1, or 0 when it moved.
local level = redis.call('HGET', KEYS[1], 'level') or 'normal'
if level ~= ARGV[1] then return 0 end
if level ~= ARGV[2] or redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'since', ARGV[4]) end
redis.call('HSET', KEYS[1], 'level', ARGV[2], 'ratio', ARGV[3], 'at', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
