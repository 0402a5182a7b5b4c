#!lua flags=no-writes,allow-oom
-- Counts the entries of a stream between two ids, a page per call: bounded time, and no payload travels.
-- KEYS: 1 stream   ARGV: 1 behind this id ('-' from the start), 2 below this id, 3 entries per call
-- Returns {entries counted, id to go on behind or ''}.
local from = ARGV[1] == '-' and '-' or '(' .. ARGV[1]
local entries = redis.call('XRANGE', KEYS[1], from, '(' .. ARGV[2], 'COUNT', ARGV[3])
return { #entries, #entries == tonumber(ARGV[3]) and entries[#entries][1] or '' }
