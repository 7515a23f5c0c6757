-- KEYS: open, disposed. ARGV: shard. Answers how many dead letters there are and what their records take.

local count = redis.call('ZLEXCOUNT', KEYS[1], '[a', '(b') + redis.call('ZLEXCOUNT', KEYS[2], '[a', '(b')
return { count, tonumber(redis.call('GET', ARGV[1] .. 'letters:bytes') or 0) }
