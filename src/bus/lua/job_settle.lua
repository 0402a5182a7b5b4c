#!lua flags=allow-oom
-- Ends a lease. What then happens to the job: 'done' forget it, 'again' back into the queue (as ARGV 4), 'dead' into the dead
-- jobs. A worker whose lease ran out has no say any more.
-- KEYS: 1 queue, 2 leased jobs, 3 leases, 4 ids, 5 dead jobs
-- ARGV: 1 lease, 2 what, 3 job_id ('' unknown), 4 payload, 5 error, 6 error_class, 7 worker, 8 failed_at   Returns 1, or 0.
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[2] == 'again' then
  redis.call('LPUSH', KEYS[1], ARGV[4])
  return 1
end
if ARGV[3] ~= '' then redis.call('SREM', KEYS[4], ARGV[3]) end
if ARGV[2] == 'dead' then
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'payload', ARGV[4], 'error', ARGV[5], 'error_class', ARGV[6],
    'worker', ARGV[7], 'failed_at', ARGV[8])
end
return 1
