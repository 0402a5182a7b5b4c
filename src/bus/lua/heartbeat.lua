#!lua flags=allow-oom
-- KEYS 1 heartbeat:<service>:<instance>   ARGV 1 JSON  2 ttl ms
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
