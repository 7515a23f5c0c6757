-- KEYS: chunks; in a cluster also a key that is never there, as in settlements. ARGV: shard, how many are chunks, `1` if this is asked for the first
-- time. Answers each; nothing where there is more to be added first, and the same is to be asked again: one who reads keeps nobody waiting, either.
-- What is noted meanwhile is for the next to read.

local ADDED_AT_ONCE = 64

if ARGV[3] == '1' then
  gather_traffic(ARGV[1])
end
if add_up(ARGV[1], ADDED_AT_ONCE) then
  return false
end
local chunks = {}
for i = 1, tonumber(ARGV[2]) do
  chunks[i] = redis.call('HGETALL', KEYS[i])
end
return chunks
