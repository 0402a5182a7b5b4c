#!lua flags=allow-oom
-- Takes or renews one instance slot.
-- KEYS 1 slot:<service>:<instance>   ARGV 1 token  2 holder (host:pid:token)  3 ttl ms  4 holder to take over ('' none)
-- Reply: the holder after the call; ours when it equals ARGV[2].
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[2] or (ARGV[4] ~= '' and holder == ARGV[4]) then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return ARGV[2]
end
return holder
