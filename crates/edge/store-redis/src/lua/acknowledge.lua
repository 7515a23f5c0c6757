-- KEYS: acknowledgements. ARGV: name of the group, acknowledgement (empty: forget), the one that was read (for forgetting),
-- milliseconds to keep them.

if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
elseif redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[3] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 'done'
