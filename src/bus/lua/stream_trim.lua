#!lua flags=allow-oom
-- Removes what is older than the retention and what no consumer group needs any more, some entries per call. A group needs
-- all behind its position, and all from its smallest pending id on; a run (run_take.lua) is pending by its first entry, its
-- smallest. A stream without groups stays whole: nobody has read it yet. allow-oom: a full Redis is when trimming matters.
-- KEYS: 1 stream   ARGV: 1 ms to keep (by the clock that gave the ids), 2 entries per call, 3 'trim', or 'look' to change nothing
-- Returns {entries removed, 1 when there may be more, id of the floor or '' without groups, group that has work older than the
-- retention or '', entries left}.
local function parts(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end
local function less(a, b)
  local ams, an = parts(a)
  local bms, bn = parts(b)
  return ams < bms or (ams == bms and an < bn)
end
if redis.call('EXISTS', KEYS[1]) == 0 then return { 0, 0, '', '', 0 } end
local length = redis.call('XLEN', KEYS[1])
local groups = redis.call('XINFO', 'GROUPS', KEYS[1])
if #groups == 0 then return { 0, 0, '', '', length } end
local now = redis.call('TIME')
local floor = string.format('%.0f-0', math.max(0, tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - tonumber(ARGV[1])))
local holder = ''
local last = '0-0'
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if newest then last = newest[1] end
for _, info in ipairs(groups) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  local need = group['last-delivered-id']
  if group['pending'] > 0 then
    local smallest = redis.call('XPENDING', KEYS[1], group['name'])[2]
    if less(smallest, need) then need = smallest end
  end
  -- A group that has settled all, in a stream that has been quiet for long, holds nothing but the newest entry.
  local waits = group['pending'] > 0 or less(need, last)
  if less(need, floor) then floor, holder = need, waits and group['name'] or '' end
end
if ARGV[3] ~= 'trim' then return { 0, 0, floor, holder, length } end
-- Whole nodes are cheap to drop; only when none is left the last one is cut, entry by entry.
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '~', floor, 'LIMIT', ARGV[2])
local more = 1
if removed == 0 then
  removed, more = redis.call('XTRIM', KEYS[1], 'MINID', '=', floor), 0
end
return { removed, more, floor, holder, length - removed }
