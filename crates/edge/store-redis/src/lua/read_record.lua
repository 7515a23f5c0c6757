-- KEYS: record, attempts, claim. Answers the claim that a record follows, or the parts.

local claim = redis.call('MGET', KEYS[3])[1]
if claim and string.find(claim, '\n', 1, true) then
  return { claim, {}, {} }
end
return { false, redis.call('HMGET', KEYS[1], 'k', 'head', 'state', 'generation', 'updated'), redis.call('LRANGE', KEYS[2], 0, -1) }
