-- Settlements, each answered in its place. KEYS: for each claim, and the record of what is delivered at once; one with a dead letter comes
-- alone, and names what else it writes: while a cluster moves the slot, a call with a key that is not there is refused as a whole. ARGV: the most entries of a log,
-- the least milliseconds that each is kept, attempts kept at most; then for each token, generation, attempt, how it ended, milliseconds
-- to keep it, terms, what is noted of traffic, the record as `write_delivered` writes it; with a dead letter also the letter.

local COMMON, EACH, KEYS_EACH = 3, 8, 2
local sub = string.sub
local now_text, now = now_text_and_us()
local limits = { now = now, entries_max = tonumber(ARGV[1]), kept_us = tonumber(ARGV[2]) * 1000 }
local attempts_max = tonumber(ARGV[3])

local traffic = {}

local function note(line)
  if line ~= '' then
    traffic[#traffic + 1] = line
  end
end

local function first_argument(i)
  return COMMON + 1 + (i - 1) * EACH
end

-- The claims, as they are found, of first attempts that are delivered at once: nearly all are.
local delivered_at_once = {}

local function is_delivered_at_once(i, text)
  local at = first_argument(i)
  local token = ARGV[at]
  local held = held_by(token, ARGV[at + 1], ARGV[at + 2])
  if ARGV[at + 3] == 'delivered' and sub(text, 1, #held) == held and sub(text, -#FIRST_AND_NOT_SHOWN) == FIRST_AND_NOT_SHOWN
    and now - tonumber(token) <= LATE_US then
    delivered_at_once[i] = text
    return true
  end
end

local function settle(i, key, delivered)
  local at = first_argument(i)
  local mine, generation, attempt, ended_as, ttl = unpack(ARGV, at, at + 4)
  local shard, id = shard_and_id(key, 'claim')
  local text = delivered_at_once[i]
  if text and claims[key] == text then
    write_claim(key, ttl, 'delivered ' .. generation .. ' ' .. attempt .. ' ' .. mine .. ' ' .. mine)
    note(ARGV[at + 6])
    write_delivered(delivered, shard, ttl, ARGV[at + 7], mine .. id .. ' ' .. ARGV[at + 5] .. '\n', limits)
    return 'settled'
  end

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
    write_claim(key, ttl, table.concat({ ended_as, generation, attempt, mine, mine }, ' '))
  end
  note(ARGV[at + 6])
  local record = lines_of(ARGV[at + 7])
  write_record(shard, id, {
    begun = known and held.claimed or now_text, terms = ARGV[at + 5], ttl = ttl,
    generation = record[2], updated = record[3], state = record[4], head = record[5],
  }, limits)
  local attempts = shard .. 'attempts:' .. id
  if #record > 5 and redis.call('RPUSH', attempts, unpack(record, 6)) > attempts_max then
    redis.call('LTRIM', attempts, -attempts_max, -1)
  end
  redis.call('PEXPIRE', attempts, ttl)

  if ended_as == 'dead' then
    keep_letter(shard, letter_of(at + EACH))
  end
  return 'settled'
end

local count = ARGV[COMMON + 4] == 'dead' and 1 or #KEYS / KEYS_EACH
local keys = {}
for i = 1, count do
  keys[i] = KEYS[KEYS_EACH * i - 1]
end
read_claims(keys, is_delivered_at_once)
local answers = {}
for i, key in ipairs(keys) do
  answers[i] = settle(i, key, KEYS[KEYS_EACH * i])
end
note_traffic(shard_and_id(KEYS[1], 'claim'), traffic)
return answers
