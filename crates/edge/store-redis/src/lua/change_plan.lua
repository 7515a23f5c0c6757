-- KEYS: plan, active. ARGV: id, milliseconds to keep it, status, revision, whether it is active while nothing is outstanding,
-- and while something is.

if not follows(KEYS[1], ARGV[4]) then
  return 'conflict'
end
keep_status(KEYS[1], KEYS[2], ARGV[1], { status = ARGV[3], revision = ARGV[4], quiet = ARGV[5], waiting = ARGV[6] })
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'written'
