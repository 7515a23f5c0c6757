-- KEYS: letter, open, disposed. ARGV: shard.

local suffix, disposal = unpack(redis.call('HMGET', KEYS[1], 'k', 'disposal'))
if not suffix then
  return 0
end
forget_letter(disposal == '' and KEYS[2] or KEYS[3], ARGV[1], suffix)
return 1
