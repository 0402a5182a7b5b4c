#!lua flags=allow-oom
-- Nothing is asked of an exchange for a while. A ban is never shortened.   KEYS: 1 ban:<exchange>   ARGV: 1 ms, 2 reason
if redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
return 1
