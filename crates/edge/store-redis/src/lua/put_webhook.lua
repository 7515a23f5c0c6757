-- KEYS: webhooks, ids of the project. ARGV: id, revision, project, record. A stored webhook is `<revision> <project> <record>`.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
local revision, project = 0, ARGV[3]
if stored then
  revision, project = string.match(stored, '^(%d+) (%S+) ')
end
if tonumber(revision) + 1 ~= tonumber(ARGV[2]) or project ~= ARGV[3] then
  return 'conflict'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. project .. ' ' .. ARGV[4])
redis.call('SADD', KEYS[2], ARGV[1])
return 'written'
