-- KEYS: plan, active. ARGV: id, worker, lease in microseconds.

local terms, status, progress, token, worker, lease_end =
  unpack(redis.call('HMGET', KEYS[1], 'terms', 'status', 'progress', 'token', 'worker', 'lease_end'))
if not terms then
  redis.call('SREM', KEYS[2], ARGV[1])
  return { 'idle' }
end
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then
  return { 'idle' }
end
local now = now_us()
if worker and worker ~= ARGV[2] and now < tonumber(lease_end) then
  return { 'held', whole(tonumber(lease_end) - now) }
end
-- By the clock, so that tokens grow even over a loss of everything stored.
local newer = whole(math.max(now, token and tonumber(token) + 1 or 0))
redis.call('HSET', KEYS[1], 'token', newer, 'worker', ARGV[2], 'lease_end', whole(now + tonumber(ARGV[3])))
return { 'granted', newer, terms, status, progress }
