-- KEYS: letters, those of one shard together. ARGV: for each shard and disposal. Disposes of each that is open; answers in their
-- places as `dispose.lua` does.

local answers, suffixes = {}, {}
for i, key in ipairs(KEYS) do
  local shard, disposal = ARGV[2 * i - 1], ARGV[2 * i]
  local suffix, earlier = unpack(redis.call('HMGET', key, 'k', 'disposal'))
  if not suffix then
    answers[i] = { 'gone' }
  elseif earlier ~= '' then
    answers[i] = { 'already', earlier }
  else
    redis.call('HSET', key, 'disposal', disposal)
    suffixes[#suffixes + 1] = suffix
    answers[i] = { 'disposed' }
  end
  if #suffixes > 0 and ARGV[2 * i + 1] ~= shard then
    leave_open(shard, suffixes)
    suffixes = {}
  end
end
return answers
