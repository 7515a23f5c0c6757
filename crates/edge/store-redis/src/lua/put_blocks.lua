-- KEYS: the new lines of a log, its blocks, their digests, one that is never there: see `settle.lua`. ARGV: the last of the lines that go into
-- these blocks, where it ends, the lines before that which stay; then each block and its digest. Answers whether it was done: not when
-- somebody else did it, or the lines are gone.

local stop = tonumber(ARGV[2])
if redis.call('GETRANGE', KEYS[1], stop - #ARGV[1], stop - 1) ~= ARGV[1] then
  return 0
end
local rest = ARGV[3] .. redis.call('GETRANGE', KEYS[1], stop, -1)
if rest == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], rest)
end
for at = 4, #ARGV, 2 do
  redis.call('RPUSH', KEYS[2], ARGV[at])
  redis.call('RPUSH', KEYS[3], ARGV[at + 1])
end
return 1
