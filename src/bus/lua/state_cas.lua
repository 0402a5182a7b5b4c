#!lua flags=allow-oom
-- Moves one exchange's state (design: state machine) and rewrites the aggregate, at once.
-- KEYS  1 system:state:<exchange>   2 system:state:<exchange>:meta   3 system:state:simple   4.. state keys of all enabled exchanges
-- ARGV  1 expected state ('*' any, '' none yet)   2 new state   3 epoch of the caller   4 now, µs   5 by   6 reason   7 version the caller saw ('' any)
--       8 'mark': leave a mark that a SET by hand takes away (an expiry ten years ahead); 'marked': only while that mark is there
-- Reply {1, from, to, ver, epoch}   or {0, why, actual state, ver, epoch}
local legal = {
  [''] = { BOOTSTRAPPING = true },
  BOOTSTRAPPING = { BOOTSTRAPPING = true, RECONCILING = true, LOCKED = true },
  RECONCILING = { HEALTHY = true, LOCKED = true, BOOTSTRAPPING = true },
  HEALTHY = { AUDITING = true, RECONCILING = true, LOCKED = true, BOOTSTRAPPING = true },
  AUDITING = { HEALTHY = true, RECONCILING = true, LOCKED = true, BOOTSTRAPPING = true },
  LOCKED = { RECONCILING = true, HEALTHY = true, BOOTSTRAPPING = true, LOCKED = true },
}
-- The worst state wins the aggregate; a missing or unreadable one counts as LOCKED.
local rank = { HEALTHY = 1, AUDITING = 2, RECONCILING = 3, BOOTSTRAPPING = 4, LOCKED = 5 }
local written = redis.call('GET', KEYS[1])
local current = written or ''
local meta = redis.call('HMGET', KEYS[2], 'ver', 'epoch')
local ver, epoch = tonumber(meta[1] or '0'), tonumber(meta[2] or '0')
local mine = tonumber(ARGV[3])
if mine < epoch then return { 0, 'FENCED', current, ver, epoch } end
if ARGV[7] ~= '' and tonumber(ARGV[7]) ~= ver then return { 0, 'STALE', current, ver, epoch } end
if ARGV[1] ~= '*' and ARGV[1] ~= current then return { 0, 'STALE', current, ver, epoch } end
if ARGV[8] == 'marked' and redis.call('TTL', KEYS[1]) < 0 then return { 0, 'STALE', current, ver, epoch } end
-- An empty text was written by somebody: unreadable, not missing.
local edges = written ~= '' and legal[current] or { LOCKED = true, BOOTSTRAPPING = true }
if not edges[ARGV[2]] then return { 0, 'ILLEGAL', current, ver, epoch } end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[8] == 'mark' then redis.call('EXPIRE', KEYS[1], 315360000) end
redis.call('HSET', KEYS[2], 'ver', ver + 1, 'epoch', mine, 'at', ARGV[4], 'by', ARGV[5], 'reason', ARGV[6], 'state', ARGV[2])
local worst = 'HEALTHY'
for i = 4, #KEYS do
  local state = redis.call('GET', KEYS[i])
  if not state or not rank[state] then state = 'LOCKED' end
  if rank[state] > rank[worst] then worst = state end
end
redis.call('SET', KEYS[3], worst)
return { 1, current, ARGV[2], ver + 1, mine }
