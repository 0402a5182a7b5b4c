#!lua flags=allow-oom
-- Appends updates to the capped stream, in their order. Works when Redis is full: a fill is told all the same.
-- KEYS: 1 stream:order_updates
-- ARGV: 1 about how many entries to keep, 2.. updates as JSON
for i = 2, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'payload', ARGV[i])
end
return #ARGV - 1
