#!lua flags=allow-oom
-- Applies what changed in the configuration since it was last applied, and returns the wanted set. What commands added
-- or removed meanwhile stays; an emptied Redis gets the whole configuration again.
-- KEYS: 1 subscriptions:<market_id>, 2 subscriptions:<market_id>:config
-- ARGV: the members that the configuration asks for
local config = {}
for _, member in ipairs(ARGV) do
  config[member] = true
  if redis.call('SADD', KEYS[2], member) == 1 then redis.call('SADD', KEYS[1], member) end
end
for _, member in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if not config[member] then
    redis.call('SREM', KEYS[2], member)
    redis.call('SREM', KEYS[1], member)
  end
end
return redis.call('SMEMBERS', KEYS[1])
