-- KEYS: the new lines of a log, its blocks, their digests, one that is never there: see `settle.lua`. ARGV: the first suffix of the newest block
-- when the lines were read, how many bytes were read, up to which of them all lines are in these blocks but for those that follow, these
-- lines; then each block and its digest. Answers whether it was done: not when somebody else did it, or the lines are gone.

local newest = redis.call('LINDEX', KEYS[3], -1)
if (newest and string.match(newest, '^%S+') or '') ~= ARGV[1] or redis.call('STRLEN', KEYS[1]) < tonumber(ARGV[2]) then
  return 0
end
local rest = ARGV[4] .. redis.call('GETRANGE', KEYS[1], ARGV[3], -1)
if rest == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], rest)
end
for at = 5, #ARGV, 2 do
  redis.call('RPUSH', KEYS[2], ARGV[at])
  redis.call('RPUSH', KEYS[3], ARGV[at + 1])
end
return 1
