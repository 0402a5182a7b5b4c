#!lua flags=allow-oom
-- Acknowledges whole runs. One that somebody took over meanwhile is theirs, and left alone.
-- KEYS: 1 stream, 2 runs of the group   ARGV: 1 group, then per run: first id, its value (end, entries, consumer)
-- Returns how many runs were acknowledged.
local done = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    done = done + 1
  end
end
return done
