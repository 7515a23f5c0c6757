-- KEYS: open. ARGV: shard, `1` when one project is asked for, its name, its term (`a` for all), age at most in microseconds,
-- fingerprint (empty: any).
-- Answers how many dead letters are open, and of each group project, fingerprint and the rest.

local cutoff = sortable(now_us() - tonumber(ARGV[5]))
sweep_letters(KEYS[1], ARGV[1], cutoff)
local projects = ARGV[2] == '1' and { ARGV[3] } or redis.call('SMEMBERS', ARGV[1] .. 'groups')
local found = {}
for _, project in ipairs(projects) do
  local key = ARGV[1] .. 'groups:' .. project
  local groups = ARGV[6] == '' and redis.call('HGETALL', key) or { ARGV[6], redis.call('HGET', key, ARGV[6]) or nil }
  for i = 1, #groups - 1, 2 do
    found[#found + 1] = { project, groups[i], groups[i + 1] }
  end
end
return { redis.call('ZLEXCOUNT', KEYS[1], '[' .. ARGV[4] .. '0', '(' .. ARGV[4] .. ':'), found }
