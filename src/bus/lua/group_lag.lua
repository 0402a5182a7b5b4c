#!lua flags=allow-oom
-- How many entries a group has not been given yet. Redis counts too (entries-read), but writes that count of XREADGROUP neither
-- to its append-only file nor to replicas: after a restart or a failover it is short by what was read one by one, for ever.
-- Where little is left it is counted here, and Redis' own figure set right, so that XINFO tells everybody the truth.
-- KEYS: 1 stream   ARGV: 1 group, 2 entries counted at most
-- Returns the number, Redis' own one where more is left than is counted, -1 where nobody knows.
local stream = {}
local flat = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #flat, 2 do stream[flat[i]] = flat[i + 1] end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  if group['name'] == ARGV[1] then
    local position = group['last-delivered-id']
    local left = #redis.call('XRANGE', KEYS[1], '(' .. position, '+', 'COUNT', ARGV[2])
    if left == tonumber(ARGV[2]) then return group['lag'] or -1 end
    if group['lag'] ~= left then
      redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], position, 'ENTRIESREAD', math.max(0, stream['entries-added'] - left))
    end
    return left
  end
end
return redis.error_reply('NOGROUP No such key ' .. KEYS[1] .. ' or consumer group ' .. ARGV[1])
