-- KEYS: claim, record, log, attempts; with a dead letter also letter, open, disposed.
-- ARGV: token, generation, attempt, how it ended, milliseconds to keep it, then id, shard, head, terms and the most entries
-- of the log, then state, moment, attempts kept at most, how many follow, the attempts; then the minute, what traffic is
-- counted for, and the counts; with a dead letter also the letter.

local token, ended_as = tonumber(ARGV[1]), ARGV[4]
local claim = read_claim(KEYS[1])
if claim then
  if token < claim.token then
    return 'stale'
  end
  if token == claim.ended then
    return 'settled'
  end
end

-- A claim that is not there, or older than the token, was forgotten by the server: the worker's word is all there is.
local known = claim and claim.token == token
if ended_as == 'released' then
  restore_claim(KEYS[1], known and claim.before ~= '' and claim.before or '0 0 free - 0 0')
else
  redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'attempt', ARGV[3], 'state', ended_as)
  redis.call('HDEL', KEYS[1], 'worker', 'claimed', 'lease_end')
end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'ended', ARGV[1])
redis.call('HDEL', KEYS[1], 'before', 'nonce')
redis.call('PEXPIRE', KEYS[1], ARGV[5])

write_record(KEYS[2], KEYS[3], ARGV[7], {
  now = now_us(), id = ARGV[6], head = ARGV[8], terms = ARGV[9], entries_max = tonumber(ARGV[10]),
  state = ARGV[11], generation = ARGV[2], updated = ARGV[12], ttl = ARGV[5],
})

local attempts = tonumber(ARGV[14])
for i = 1, attempts do
  redis.call('RPUSH', KEYS[4], ARGV[14 + i])
end
redis.call('LTRIM', KEYS[4], -tonumber(ARGV[13]), -1)
redis.call('PEXPIRE', KEYS[4], ARGV[5])

local rest = 14 + attempts
count_traffic(ARGV[7], tonumber(ARGV[rest + 1]), ARGV[rest + 2], ARGV[rest + 3])

if ended_as == 'dead' then
  keep_letter({ letter = KEYS[5], open = KEYS[6], disposed = KEYS[7] }, ARGV[7], letter_of(rest + 4))
end
return 'settled'
