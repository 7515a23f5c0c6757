-- KEYS: plan, list, active. ARGV: suffix, what the key of a plan begins with, terms, status, revision, whether it is active
-- while nothing is outstanding, and while something is, progress, milliseconds to keep it.

-- Entries of the list that one call looks at.
local LOOKED_AT_MAX = 8

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'conflict'
end
for _, suffix in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], '-', '+', 'LIMIT', 0, LOOKED_AT_MAX)) do
  if redis.call('EXISTS', ARGV[2] .. id_of(suffix)) == 0 then
    redis.call('ZREM', KEYS[2], suffix)
    redis.call('SREM', KEYS[3], id_of(suffix))
  end
end
redis.call('HSET', KEYS[1], 'terms', ARGV[3], 'progress', ARGV[8], 'outstanding', '0')
keep_status(KEYS[1], KEYS[3], id_of(ARGV[1]), { status = ARGV[4], revision = ARGV[5], quiet = ARGV[6], waiting = ARGV[7] })
redis.call('PEXPIRE', KEYS[1], ARGV[9])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 'written'
