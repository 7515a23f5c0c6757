-- KEYS: chunks. Answers each.

local chunks = {}
for i, key in ipairs(KEYS) do
  chunks[i] = redis.call('HGETALL', key)
end
return chunks
