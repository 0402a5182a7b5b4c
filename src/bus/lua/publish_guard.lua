#!lua flags=allow-oom
-- Runs between WATCH and MULTI of a batch. When the batch must not be stored now it touches the watched key, which makes
-- EXEC refuse the transaction. Works when Redis is full, so that the answer is always the guard's own.
-- KEYS: 1 writer (number of the last batch this writer stored)
-- ARGV: 1 number of the batch, 2 'first' to begin a chain or 'next'
-- Returns 1 go on, 2 stored before (a repetition), 0 the batch before this one is not here.
local number, last = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or '-1')
local verdict = 1
if last >= number then verdict = 2 elseif ARGV[2] == 'next' and last ~= number - 1 then verdict = 0 end
if verdict ~= 1 then redis.call('SET', KEYS[1], last, 'EX', 3600) end
return verdict
