#!lua flags=allow-oom
-- Applies what changed in the matches of the patterns, and returns the wanted set. What commands removed stays removed while it
-- matches; what the configuration or a command asks for by name is not the patterns' to take away.
-- KEYS: 1 subscriptions:<market_id>, 2 subscriptions:<market_id>:matched, 3 subscriptions:<market_id>:config
-- ARGV: the members that match now
local matches = {}
for _, member in ipairs(ARGV) do
  matches[member] = true
  if redis.call('SISMEMBER', KEYS[3], member) == 1 then
    redis.call('SREM', KEYS[2], member)
  elseif redis.call('SISMEMBER', KEYS[2], member) == 0 and redis.call('SADD', KEYS[1], member) == 1 then
    redis.call('SADD', KEYS[2], member)
  end
end
for _, member in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if not matches[member] then
    redis.call('SREM', KEYS[2], member)
    redis.call('SREM', KEYS[1], member)
  end
end
return redis.call('SMEMBERS', KEYS[1])
