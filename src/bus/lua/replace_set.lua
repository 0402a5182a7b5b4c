#!lua flags=allow-oom
-- Replaces a set's members at once: readers see the old ones or the new ones.
-- KEYS 1 set   ARGV 1.. members
redis.call('DEL', KEYS[1])
-- unpack() is bounded by Lua's stack.
for i = 1, #ARGV, 1000 do
  redis.call('SADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return redis.call('SCARD', KEYS[1])
