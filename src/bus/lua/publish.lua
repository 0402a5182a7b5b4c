#!lua
-- Appends a batch of payloads to a stream and notes how far each symbol has got, all or nothing.
-- Without allow-oom on purpose: a full Redis refuses the batch as a whole, before its first entry.
-- KEYS: 1 stream, 2 writer (number of the last batch this writer stored), 3 feed:seq hash
-- ARGV: 1 number of the batch, 2 'first' to begin a chain or 'next', 3 n of symbols, then n × symbol, seq, then payloads
-- Returns 1 stored, 2 stored before (a repetition), 0 refused: the batch before this one is not here.
local call, stream, argv = redis.call, KEYS[1], ARGV
local number = tonumber(argv[1])
local last = tonumber(call('GET', KEYS[2]) or '-1')
if last >= number then return 2 end
if argv[2] == 'next' and last ~= number - 1 then return 0 end
local first = 4 + 2 * argv[3]
for i = first, #argv do call('XADD', stream, '*', 'payload', argv[i]) end
if first > 4 then call('HSET', KEYS[3], unpack(argv, 4, first - 1)) end
call('SET', KEYS[2], argv[1], 'EX', 3600)
return 1
