-- Settlements, each answered in its place: `stale`, `settled`, or `sort <moment>`, which is settled, and it is time to sort what was appended
-- until then. KEYS: the claims; one with a dead letter comes alone, and names what else it writes. In a cluster
-- also a key that is never there: while the slot is moved, a call that names one is refused as a whole. ARGV: the most entries of a log,
-- the least milliseconds that each is kept, which is how long what is final is kept, lines of a block, how long what is not final is kept,
-- attempts kept at most; then for each its generation, attempt and token, how it ended, its line in the log, what is noted of traffic, its record after the claim as it
-- is if it is not released, see `log.lua`; with a dead letter also the letter.

local COMMON, EACH = 5, 5
local sub, find = string.sub, string.find
local FINAL_MS, OPEN_MS = ARGV[2], ARGV[4]
local limits = limits_of(ARGV)
local attempts_max = tonumber(ARGV[5])

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
  -- A first claim's token is the moment it was made, and its line begins with that.
  if ARGV[at + 1] == 'delivered' and find(text, 'held ' .. ARGV[at] .. ' - ', 1, true) == 1
    and sub(text, -#FIRST_AND_NOT_SHOWN) == FIRST_AND_NOT_SHOWN and limits.now - tonumber(sub(ARGV[at + 2], 1, MOMENT_DIGITS)) <= LATE_US then
    delivered_at_once[i] = text
    return true
  end
end

local function settle(i, key)
  local at = first_argument(i)
  local mine, ended_as, line, whole = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 4]
  local shard, id = shard_and_id(key, 'claim')
  local text = delivered_at_once[i]
  if text and claims[key] == text then
    -- For as long as it was claimed: that is enough.
    redis.call('SET', key, whole, 'KEEPTTL')
    claims[key] = whole
    note(ARGV[at + 3])
    return append_line(shard, line, limits) and 'sort ' .. sortable(limits.now) or 'settled'
  end

  local held = read_claim(key)
  local generation, token = string.match(mine, '^(%d+) %d+ (%d+)$')
  if held and tonumber(token) < tonumber(held.token) then
    return 'stale'
  end
  if held and held.ended == token then
    return 'settled'
  end

  -- A claim that is not there, or older than the token, was forgotten by the server: the worker's word is all there is.
  local known = held and held.token == token
  local lines = lines_of(whole)
  local ttl = (ended_as == 'delivered' or ended_as == 'dead') and FINAL_MS or OPEN_MS
  if ended_as == 'released' then
    write_claim(key, ttl, unpack_claim(known and held.before ~= '' and held.before or '0 0 free - 0 0', token))
  else
    write_claim(key, ttl, lines[1])
  end
  note(ARGV[at + 3])
  write_record(shard, id, {
    begun = known and held.claimed or sortable(limits.now), terms = string.match(line, ' (.*)\n'), ttl = ttl,
    generation = generation, updated = lines[2], state = lines[3], head = lines[4], delivered = held and held.record and held,
  }, limits)
  local attempts = shard .. 'attempts:' .. id
  if #lines > 4 and redis.call('RPUSH', attempts, unpack(lines, 5)) > attempts_max then
    redis.call('LTRIM', attempts, -attempts_max, -1)
  end
  redis.call('PEXPIRE', attempts, ttl)

  if ended_as == 'dead' then
    keep_letter(shard, letter_of(at + EACH))
  end
  return 'settled'
end

local count = ARGV[COMMON + 2] == 'dead' and 1 or (#ARGV - COMMON) / EACH
local keys = count == #KEYS and KEYS or { unpack(KEYS, 1, count) }
read_claims(keys, is_delivered_at_once)
local answers = {}
for i, key in ipairs(keys) do
  answers[i] = settle(i, key)
end
note_traffic(shard_and_id(KEYS[1], 'claim'), traffic)
return answers
