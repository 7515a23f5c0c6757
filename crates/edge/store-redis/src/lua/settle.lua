-- KEYS: claim, record, log, attempts; with a dead letter also letter, open, disposed.
-- ARGV: token, generation, attempt, how it ended, milliseconds to keep it, then id, shard, head, terms, the most entries
-- of the log and the least milliseconds that each is kept, then state, moment, attempts kept at most, how many follow, the
-- attempts; then the steps, what traffic is counted for, and the counts; with a dead letter also the letter.

local ended_as = ARGV[4]
local token, ended, before = unpack(redis.call('HMGET', KEYS[1], 'token', 'ended', 'before'))
if token and tonumber(ARGV[1]) < tonumber(token) then
  return 'stale'
end
if token and ended == ARGV[1] then
  return 'settled'
end

-- A claim that is not there, or older than the token, was forgotten by the server: the worker's word is all there is.
local known = token == ARGV[1]
if ended_as == 'released' then
  restore_claim(KEYS[1], known and before and before ~= '' and before or '0 0 free - 0 0')
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'ended', ARGV[1])
  redis.call('HDEL', KEYS[1], 'before', 'nonce')
else
  redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'attempt', ARGV[3], 'state', ended_as, 'token', ARGV[1], 'ended', ARGV[1])
  redis.call('HDEL', KEYS[1], 'worker', 'claimed', 'lease_end', 'before', 'nonce')
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])

write_record(KEYS[2], KEYS[3], ARGV[7], {
  id = ARGV[6], head = ARGV[8], terms = ARGV[9], entries_max = tonumber(ARGV[10]), kept_us = tonumber(ARGV[11]) * 1000,
  state = ARGV[12], generation = ARGV[2], updated = ARGV[13], ttl = ARGV[5],
})

local attempts_max, attempts = tonumber(ARGV[14]), tonumber(ARGV[15])
local rest = 15 + attempts
if attempts > 0 then
  if redis.call('RPUSH', KEYS[4], unpack(ARGV, 16, rest)) > attempts_max then
    redis.call('LTRIM', KEYS[4], -attempts_max, -1)
  end
end
redis.call('PEXPIRE', KEYS[4], ARGV[5])

count_traffic(ARGV[7], ARGV[rest + 1], ARGV[rest + 2], ARGV[rest + 3])

if ended_as == 'dead' then
  keep_letter({ letter = KEYS[5], open = KEYS[6], disposed = KEYS[7] }, ARGV[7], letter_of(rest + 4))
end
return 'settled'
