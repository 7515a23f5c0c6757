-- A claim is a text: state, generation, attempt, token, and the token that was settled or `-`; while it is held also worker,
-- nonce, when it was claimed, its lease as `<from>+<microseconds>`, whether the log shows it (`1`), and what a release returns to, if anything.
-- Its state is `held`, `settled`, `delivered`, `dead`; or `free`, when the only claim there was is released. Of a delivery that its first
-- attempt delivered at once, lines follow: its record, see `log.lua`.

-- An earlier release kept a hash.
local function read_hash(key)
  local fields = redis.call('HMGET', key, 'generation', 'attempt', 'state', 'token', 'worker', 'claimed', 'lease_end', 'ended', 'before', 'nonce')
  if not fields[4] then
    return nil
  end
  return {
    generation = tonumber(fields[1]), attempt = tonumber(fields[2]), state = fields[3], token = fields[4],
    worker = fields[5], claimed = fields[6], lease_end = tonumber(fields[7]), lease = (fields[7] or '0') .. '+0',
    ended = fields[8], before = fields[9] or '', nonce = fields[10], is_shown = true,
  }
end

local function parse_claim(text)
  local stop = string.find(text, '\n', 1, true)
  local head = stop and string.sub(text, 1, stop - 1) or text
  local state, generation, attempt, token, ended, rest = string.match(head, '^(%l+) (%d+) (%d+) (%d+) (%S+) ?(.*)$')
  if not state then
    error('a claim is no claim')
  end
  local claim = {
    state = state, generation = tonumber(generation), attempt = tonumber(attempt), token = token, ended = ended, before = '',
    record = stop and string.sub(text, stop + 1),
  }
  if rest ~= '' then
    local worker, nonce, claimed, lease, is_shown, before = string.match(rest, '^(%S+) (%S+) (%d+) (%S+) (%d) ?(.*)$')
    local from, lasts = string.match(lease, '^(%d+)%+(%d+)$')
    claim.worker, claim.nonce, claim.claimed, claim.lease = worker, nonce, claimed, lease
    claim.lease_end, claim.is_shown, claim.before = tonumber(from) + tonumber(lasts), is_shown == '1', before
  end
  return claim
end

-- The claims that a call is about, by key: as read, or the text that was written since.
local claims = {}

-- Reads them all at once, so that what is no claim is found before anything is written. MGET tells a hash and nothing alike. is_plain:
-- whether a text need not be taken apart, if given.
local function read_claims(keys, is_plain)
  local absent = {}
  for i, text in ipairs(redis.call('MGET', unpack(keys))) do
    if text then
      claims[keys[i]] = is_plain and is_plain(i, text) and text or parse_claim(text)
    else
      absent[#absent + 1] = keys[i]
    end
  end
  if #absent > 0 and redis.call('EXISTS', unpack(absent)) > 0 then
    for _, key in ipairs(absent) do
      claims[key] = read_hash(key)
    end
  end
end

local function read_claim(key)
  local claim = claims[key]
  return type(claim) == 'string' and parse_claim(claim) or claim
end

local function write_claim(key, ttl, text)
  redis.call('SET', key, text, 'PX', ttl)
  claims[key] = text
end

-- What a release returns to: all of the claim but its token.
local function pack_claim(claim)
  local worker, claimed, lease_end = claim.worker or '-', claim.claimed or '0', whole(claim.lease_end or 0)
  return table.concat({ claim.generation, claim.attempt, claim.state, worker, claimed, lease_end }, ' ')
end

-- Who held the same attempt before this claim and never settled it, and since when, in words.
local function expired_before(claim)
  local generation, attempt, state, worker, claimed = unpack(split(claim.before))
  if state == 'held' and tonumber(generation) == claim.generation and tonumber(attempt) == claim.attempt then
    return ' ' .. worker .. ' ' .. claimed
  end
  return ''
end

-- The claim that a release returns to, under the token of the released one.
local function unpack_claim(packed, token)
  local generation, attempt, state, worker, claimed, lease_end = unpack(split(packed))
  return table.concat({ state, generation, attempt, token, token, worker, '-', claimed, lease_end .. '+0', '1' }, ' ')
end

-- What a claim ends with as long as the log does not show it and there was none before. Its token is then the moment it was made.
local FIRST_AND_NOT_SHOWN = ' 0 '

-- attempt: generation and attempt. worker: and its nonce.
local function pack_held(attempt, token, worker, claimed, lease, is_shown, before)
  return 'held ' .. attempt .. ' ' .. token .. ' - ' .. worker .. ' ' .. claimed .. ' ' .. lease
    .. (is_shown and ' 1 ' or FIRST_AND_NOT_SHOWN) .. before
end

-- The same claim for this lease, and shown in the log or not.
local function renew_held(claim, lease, is_shown)
  local attempt, worker = claim.generation .. ' ' .. claim.attempt, claim.worker .. ' ' .. (claim.nonce or '-')
  return pack_held(attempt, claim.token, worker, claim.claimed, lease, is_shown, claim.before)
end
