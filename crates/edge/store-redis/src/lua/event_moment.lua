-- KEYS: the moment of an event that tells none. ARGV: the moment, if none is kept; milliseconds to keep it.

local kept = redis.call('GET', KEYS[1])
if not kept then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return kept or ARGV[1]
