-- KEYS: a mark of an event. ARGV: milliseconds to keep it at least. What is not marked stays so. (`PEXPIRE` with `GT` does the same since
-- Redis 7.0.)

local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 'done'
