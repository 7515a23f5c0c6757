-- Settlements, each answered in its place. KEYS: for each claim, record, log, attempts; with a dead letter, which comes alone,
-- also letter, open, disposed. ARGV: the most entries of a log, the least milliseconds that each is kept, attempts kept at most;
-- then for each token, generation, attempt, how it ended, milliseconds to keep it, id, shard, head, terms, state, moment, the
-- steps, what traffic is counted for, the counts, how many attempts follow, the attempts; with a dead letter also the letter.

local COMMON, EACH = 3, 15
local now_text, now = now_text_and_us()
local entries_max, kept_us, attempts_max = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])

-- at: its first argument; last: its last attempt.
local function settle(keys, at, last)
  local key, record, log, attempts = KEYS[keys], KEYS[keys + 1], KEYS[keys + 2], KEYS[keys + 3]
  local mine, ended_as, ttl, shard = ARGV[at], ARGV[at + 3], ARGV[at + 4], ARGV[at + 6]
  local token, ended, before, claimed = unpack(redis.call('HMGET', key, 'token', 'ended', 'before', 'claimed'))
  if token and tonumber(mine) < tonumber(token) then
    return 'stale'
  end
  if token and ended == mine then
    return 'settled'
  end

  -- A claim that is not there, or older than the token, was forgotten by the server: the worker's word is all there is.
  local known = token == mine
  if ended_as == 'released' then
    restore_claim(key, known and before and before ~= '' and before or '0 0 free - 0 0')
    redis.call('HSET', key, 'token', mine, 'ended', mine)
    redis.call('HDEL', key, 'before', 'nonce')
  else
    redis.call('HSET', key, 'generation', ARGV[at + 1], 'attempt', ARGV[at + 2], 'state', ended_as, 'token', mine, 'ended', mine)
    redis.call('HDEL', key, 'worker', 'claimed', 'lease_end', 'before', 'nonce')
  end
  redis.call('PEXPIRE', key, ttl)

  write_record(record, log, shard, {
    now = now, begun = known and claimed or now_text,
    id = ARGV[at + 5], head = ARGV[at + 7], terms = ARGV[at + 8], entries_max = entries_max, kept_us = kept_us,
    state = ARGV[at + 9], generation = ARGV[at + 1], updated = ARGV[at + 10], ttl = ttl,
  })

  local first = at + EACH
  if last >= first then
    if redis.call('RPUSH', attempts, unpack(ARGV, first, last)) > attempts_max then
      redis.call('LTRIM', attempts, -attempts_max, -1)
    end
  end
  redis.call('PEXPIRE', attempts, ttl)

  count_traffic(ARGV[at + 11], ARGV[at + 12], ARGV[at + 13])

  if ended_as == 'dead' then
    keep_letter({ letter = KEYS[keys + 4], open = KEYS[keys + 5], disposed = KEYS[keys + 6] }, shard, letter_of(last + 1))
  end
  return 'settled'
end

-- Seven keys are those of a dead letter.
local answers, at = {}, COMMON + 1
for i = 1, #KEYS == 7 and 1 or #KEYS / 4 do
  local last = at + EACH - 1 + tonumber(ARGV[at + EACH - 1])
  answers[i] = settle(4 * i - 3, at, last)
  at = last + 1
end
write_traffic(ARGV[COMMON + 7])
return answers
