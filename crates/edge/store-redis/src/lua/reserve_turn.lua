-- KEYS: the turn after the last one reserved. ARGV: turns a second, microseconds ahead at most.
-- Answers the microseconds until the turn reserved, or -1.

local now = now_us()
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
if turn - now > tonumber(ARGV[2]) then
  return -1
end
local next_turn = turn + 1000000 / tonumber(ARGV[1])
redis.call('SET', KEYS[1], whole(next_turn), 'PX', math.ceil((next_turn - now) / 1000) + 1)
return turn - now
