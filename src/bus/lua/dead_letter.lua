#!lua flags=allow-oom
-- Moves entries from a stream's group to its dead-letter stream. Only what this call acknowledges is written, so that two
-- consumers that try the same entry leave one dead letter. allow-oom: a full Redis is when poison must not pile up.
-- KEYS: 1 source stream, 2 dead-letter stream
-- ARGV: 1 group, 2 consumer, then per entry: id, payload, error, error_class, deliveries, failed_at
-- Returns one item per entry: the dead letter's id, or '' when the entry was not pending any more.
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'none' and kind ~= 'stream' then return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is a ' .. kind) end
local written = {}
for i = 3, #ARGV, 6 do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
    written[#written + 1] = redis.call('XADD', KEYS[2], '*', 'payload', ARGV[i + 1], 'error', ARGV[i + 2],
      'error_class', ARGV[i + 3], 'source_id', ARGV[i], 'group', ARGV[1], 'consumer', ARGV[2],
      'deliveries', ARGV[i + 4], 'failed_at', ARGV[i + 5])
  else
    written[#written + 1] = ''
  end
end
return written
