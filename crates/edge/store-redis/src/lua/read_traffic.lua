-- KEYS: chunks; in a cluster also a key that is never there, as in settlements. ARGV: shard, how many are chunks. Answers each; nothing where
-- there is more to be added first, and the same is to be asked again: one who reads keeps nobody waiting, either.

local ADDED_AT_ONCE = 64

if gather_and_add(ARGV[1], ADDED_AT_ONCE) then
  return false
end
local chunks = {}
for i = 1, tonumber(ARGV[2]) do
  chunks[i] = redis.call('HGETALL', KEYS[i])
end
return chunks
