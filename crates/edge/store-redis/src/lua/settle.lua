-- Settlements, each answered in its place. KEYS: for each claim, record, log, attempts, delivered; with a dead letter, which comes
-- alone, also letter, open, disposed. ARGV: the most entries of a log, the least milliseconds that each is kept, attempts kept at
-- most; then for each token, generation, attempt, how it ended, milliseconds to keep it, id, shard, head, terms, state, moment,
-- what is noted of traffic, how many attempts follow, the attempts; with a dead letter also the letter.

local COMMON, EACH, KEYS_EACH = 3, 13, 5
local now_text, now = now_text_and_us()
local entries_max, kept_us, attempts_max = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])

local traffic = {}

-- at: its first argument; last: its last attempt.
local function settle(keys, at, last)
  local key, record, log, attempts, delivered = KEYS[keys], KEYS[keys + 1], KEYS[keys + 2], KEYS[keys + 3], KEYS[keys + 4]
  local mine, generation, ended_as, ttl, shard = ARGV[at], ARGV[at + 1], ARGV[at + 3], ARGV[at + 4], ARGV[at + 6]
  local held = read_claim(key)
  if held and tonumber(mine) < tonumber(held.token) then
    return 'stale'
  end
  if held and held.ended == mine then
    return 'settled'
  end

  -- A claim that is not there, or older than the token, was forgotten by the server: the worker's word is all there is.
  local known = held and held.token == mine
  if ended_as == 'released' then
    write_claim(key, ttl, unpack_claim(known and held.before ~= '' and held.before or '0 0 free - 0 0', mine))
  else
    write_claim(key, ttl, table.concat({ ended_as, generation, ARGV[at + 2], mine, mine }, ' '))
  end

  if ARGV[at + 11] ~= '' then
    traffic[#traffic + 1] = ARGV[at + 11]
  end
  local entry = {
    now = now, begun = known and held.claimed or now_text,
    id = ARGV[at + 5], head = ARGV[at + 7], terms = ARGV[at + 8], entries_max = entries_max, kept_us = kept_us,
    state = ARGV[at + 9], generation = generation, updated = ARGV[at + 10], ttl = ttl,
  }
  local first = math.max(at + EACH, last + 1 - attempts_max)
  if ended_as == 'delivered' and known and held.before == '' and not held.is_shown and is_appendable(entry) then
    write_delivered(delivered, log, shard, entry, first, last)
    return 'settled'
  end

  write_record(record, log, delivered, shard, entry)
  if last >= first then
    if redis.call('RPUSH', attempts, unpack(ARGV, first, last)) > attempts_max then
      redis.call('LTRIM', attempts, -attempts_max, -1)
    end
  end
  redis.call('PEXPIRE', attempts, ttl)

  if ended_as == 'dead' then
    keep_letter({ letter = KEYS[keys + 5], open = KEYS[keys + 6], disposed = KEYS[keys + 7] }, shard, letter_of(last + 1))
  end
  return 'settled'
end

-- Eight keys are those of a dead letter.
local count = #KEYS == 8 and 1 or #KEYS / KEYS_EACH
local keys = {}
for i = 1, count do
  keys[i] = KEYS[KEYS_EACH * i - KEYS_EACH + 1]
end
read_claims(keys)
local answers, at = {}, COMMON + 1
for i = 1, count do
  local last = at + EACH - 1 + tonumber(ARGV[at + EACH - 1])
  answers[i] = settle(KEYS_EACH * i - KEYS_EACH + 1, at, last)
  at = last + 1
end
note_traffic(ARGV[COMMON + 7], traffic)
return answers
