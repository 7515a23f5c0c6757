-- KEYS: marks of events, each answered in its place.

return redis.call('MGET', unpack(KEYS))
