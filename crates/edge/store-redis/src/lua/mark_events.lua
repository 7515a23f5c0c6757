-- KEYS: marks of events. ARGV: milliseconds to keep each, then each mark. A mark that is there stands.

local answers = {}
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1 + i], 'NX', 'PX', ARGV[1])
  answers[i] = 1
end
return answers
