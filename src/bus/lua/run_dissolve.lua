#!lua flags=allow-oom
-- Turns a run into ordinary pending entries of a consumer, a page per call; what is left is a shorter run.
-- KEYS: 1 stream, 2 runs of the group   ARGV: 1 group, 2 consumer, 3 first id, 4 entries per call
-- Returns {entries that are gone but for the mark, first id of what is left or '', id where the run ends or ''}.
local value = redis.call('HGET', KEYS[2], ARGV[3])
if not value then return { 0, '', '' } end
local last, count = string.match(value, '^(%S+) (%d+) ')
local page = tonumber(ARGV[4])
local mark = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
local deliveries = mark and mark[4] or 1
local function claim(id)
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'FORCE', 'JUSTID', 'RETRYCOUNT', deliveries)
end
local entries = redis.call('XRANGE', KEYS[1], ARGV[3], last, 'COUNT', page + 1)
for i = 1, math.min(page, #entries) do claim(entries[i][1]) end
-- A deleted mark is told by whoever meets it in the list of pending entries: it does not count here.
local here = entries[1] and entries[1][1] == ARGV[3]
local expected = tonumber(count) - (here and 0 or 1)
local rest = entries[page + 1]
-- The rest gets its mark before this one goes: a script that fails half-way must not lose any of them.
if rest then
  claim(rest[1])
  redis.call('HSET', KEYS[2], rest[1], last .. ' ' .. math.max(0, expected - page) .. ' ' .. ARGV[2])
end
redis.call('HDEL', KEYS[2], ARGV[3])
return { rest and 0 or math.max(0, expected - #entries), rest and rest[1] or '', last }
