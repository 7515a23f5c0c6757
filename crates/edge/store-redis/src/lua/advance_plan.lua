-- KEYS: plan, active, marks. ARGV: id, milliseconds to keep it all, token, lease in microseconds, progress, whether anything is
-- outstanding, how many chunks follow, number and marks of each; then, where the plan itself changes its state, status,
-- revision, whether it is active while nothing is outstanding, and while something is.

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[3] then
  return { 'stale' }
end
redis.call('HSET', KEYS[1], 'progress', ARGV[5], 'outstanding', ARGV[6])
if ARGV[4] == '0' then
  redis.call('HDEL', KEYS[1], 'worker', 'lease_end')
else
  redis.call('HSET', KEYS[1], 'lease_end', whole(now_us() + tonumber(ARGV[4])))
end
local after = 7 + 2 * tonumber(ARGV[7])
for i = 8, after, 2 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
end
if ARGV[after + 1] and follows(KEYS[1], ARGV[after + 2]) then
  keep_status(KEYS[1], KEYS[2], ARGV[1],
    { status = ARGV[after + 1], revision = ARGV[after + 2], quiet = ARGV[after + 3], waiting = ARGV[after + 4] })
else
  keep_activity(KEYS[1], KEYS[2], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return { 'advanced', redis.call('HGET', KEYS[1], 'status') }
