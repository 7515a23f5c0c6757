-- KEYS: breakers. ARGV: destination, revision, record, breakers at most. A stored breaker is `<revision> <record>`.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
local revision = stored and string.match(stored, '^(%d+) ') or 0
if tonumber(revision) + 1 ~= tonumber(ARGV[2]) then
  return 'conflict'
end
if not stored and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  return 'conflict'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 'written'
