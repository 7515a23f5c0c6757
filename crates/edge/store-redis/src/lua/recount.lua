-- KEYS: open. ARGV: shard, project, fingerprint, its term. Counts a group anew: a worker of a release before groups takes
-- dead letters out of the index and leaves the group as it is.

local key = ARGV[1] .. 'groups:' .. ARGV[2]
local packed = redis.call('HGET', key, ARGV[3])
if not packed then
  return 0
end
local _, _, _, head = read_group(packed)
local open = redis.call('ZLEXCOUNT', KEYS[1], '[' .. ARGV[4] .. '0', '(' .. ARGV[4] .. ':')
if open > 0 then
  write_group(key, ARGV[3], open, first_of(KEYS[1], ARGV[4]), last_of(KEYS[1], ARGV[4]), head)
elseif redis.call('HDEL', key, ARGV[3]) == 1 and redis.call('EXISTS', key) == 0 then
  redis.call('SREM', ARGV[1] .. 'groups', ARGV[2])
end
return 1
