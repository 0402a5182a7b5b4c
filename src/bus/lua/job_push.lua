#!lua flags=allow-oom
-- Queues a job unless one of the same id is queued or in hand.
-- KEYS: 1 queue, 2 ids   ARGV: 1 job_id, 2 payload, 3 'first' before those that wait, 'last' behind them   Returns 1 queued, 0 it was there.
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call(ARGV[3] == 'first' and 'RPUSH' or 'LPUSH', KEYS[1], ARGV[2])
return 1
