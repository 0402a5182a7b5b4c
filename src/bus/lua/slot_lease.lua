#!lua flags=allow-oom
-- Takes, renews or (ttl 0) gives back one instance slot.
-- KEYS 1 slot:<service>:<instance>   ARGV 1 holder (host:pid:token)  2 ttl ms  3 holder to take over ('' none)
-- Reply: the holder after the call; the slot is ours when it equals ARGV[1].
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[3] then return holder end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return ''
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
