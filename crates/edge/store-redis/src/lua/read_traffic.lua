-- KEYS: chunks. ARGV: shard. Answers each.

add_up_all_traffic(ARGV[1])
local chunks = {}
for i, key in ipairs(KEYS) do
  chunks[i] = redis.call('HGETALL', key)
end
return chunks
