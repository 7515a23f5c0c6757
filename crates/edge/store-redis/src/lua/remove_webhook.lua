-- KEYS: webhooks. ARGV: id, what the key of a project's ids begins with.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
  return 0
end
-- Of a damaged one the project may be missing: its id then stays in the list, and means nothing.
redis.call('SREM', ARGV[2] .. (string.match(stored, '^%d+ (%S+) ') or ''), ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
