-- KEYS: open. ARGV: shard. Answers how many dead letters are open, and how many the groups count.

local grouped = 0
for _, project in ipairs(redis.call('SMEMBERS', ARGV[1] .. 'groups')) do
  for _, packed in ipairs(redis.call('HVALS', ARGV[1] .. 'groups:' .. project)) do
    grouped = grouped + read_group(packed)
  end
end
return { redis.call('ZLEXCOUNT', KEYS[1], '[a', '(b'), grouped }
