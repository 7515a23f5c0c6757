-- KEYS: record, attempts, delivered. Answers what was written in one piece, or the parts.

local delivered = redis.call('GET', KEYS[3])
if delivered then
  return { delivered, {}, {} }
end
return { false, redis.call('HMGET', KEYS[1], 'k', 'head', 'state', 'generation', 'updated'), redis.call('LRANGE', KEYS[2], 0, -1) }
