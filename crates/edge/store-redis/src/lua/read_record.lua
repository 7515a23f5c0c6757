-- KEYS: record, attempts.

return { redis.call('HMGET', KEYS[1], 'k', 'head', 'state', 'generation', 'updated'), redis.call('LRANGE', KEYS[2], 0, -1) }
