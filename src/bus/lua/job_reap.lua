#!lua flags=allow-oom
-- Returns jobs whose leases ran out to the front of the queue, one attempt more each; at most 100 a call.
-- Ids of jobs that are gone (somebody deleted the queue, or popped from it by hand) are forgotten once nothing is queued or in hand:
-- jobs of those ids could never be queued again.
-- KEYS: 1 queue, 2 leased jobs, 3 leases, 4 ids   Returns how many.
local time = redis.call('TIME')
local over = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', time[1] * 1000 + math.floor(time[2] / 1000), 'LIMIT', 0, 100)
for _, lease in ipairs(over) do
  local payload = redis.call('HGET', KEYS[2], lease)
  if payload then
    -- By text: a JSON library would round the 16 digits of a time.
    local counted = string.gsub(payload, '("attempts"%s*:%s*)(%d+)', function(head, n) return head .. (n + 1) end, 1)
    redis.call('RPUSH', KEYS[1], counted)
  end
  redis.call('HDEL', KEYS[2], lease)
  redis.call('ZREM', KEYS[3], lease)
end
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then redis.call('DEL', KEYS[4]) end
return #over
