#!lua flags=allow-oom
-- Gives one consumer the entries that follow the group's position, as one run: only its first entry is marked as pending,
-- the run's end is noted beside it. Only when nobody moved the position since the caller looked.
-- KEYS: 1 stream, 2 runs of the group
-- ARGV: 1 group, 2 consumer, 3 position the caller read behind, 4 first id, 5 last id, 6 entries from first to last
-- Returns '' when the run is the caller's (a repeated call included), else the group's position.
local value = ARGV[5] .. ' ' .. ARGV[6] .. ' ' .. ARGV[2]
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  if group['name'] == ARGV[1] then
    local position, read = group['last-delivered-id'], group['entries-read']
    if position ~= ARGV[3] then
      if position == ARGV[5] and redis.call('HGET', KEYS[2], ARGV[4]) == value then return '' end
      return position
    end
    -- FORCE makes the mark; no reply: the entry was deleted meanwhile.
    local marked = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[4], 'FORCE', 'JUSTID', 'RETRYCOUNT', 1)
    if #marked == 0 then return position end
    redis.call('HSET', KEYS[2], ARGV[4], value)
    if read then
      redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[5], 'ENTRIESREAD', read + ARGV[6])
    else
      redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[5])
    end
    return ''
  end
end
return redis.error_reply('NOGROUP No such key ' .. KEYS[1] .. ' or consumer group ' .. ARGV[1])
