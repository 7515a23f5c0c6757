-- Claims, each answered in its place, in words. KEYS: the claims. ARGV: milliseconds to keep each; then for each generation and
-- attempt, worker and nonce, lease in microseconds, milliseconds to keep it if it is the first.

local COMMON, EACH = 1, 4
local ttl = ARGV[1]
local now_text, now = now_text_and_us()
-- Most answers are this one, which is put together once.
local GRANTED_NOW = 'granted ' .. now_text

-- at: its first argument. Most have no claim before them, and are written without a look. When another of this call is refused, they are
-- claimed again, which is the same grant.
local function claim_first(key, at)
  -- As `pack_held` does, in one piece.
  local text = 'held ' .. ARGV[at] .. ' ' .. now_text .. ' - ' .. ARGV[at + 1] .. ' ' .. now_text .. ' ' .. now_text .. '+' .. ARGV[at + 2]
    .. FIRST_AND_NOT_SHOWN
  return redis.call('SET', key, text, 'NX', 'PX', ARGV[at + 3]) and GRANTED_NOW
end

local function claim(key, at)
  read_claims({ key })
  local held = read_claim(key)
  local generation, attempt = string.match(ARGV[at], '^(%d+) (%d+)$')
  local worker, nonce = string.match(ARGV[at + 1], '^(%S+) (%S+)$')
  generation, attempt = tonumber(generation), tonumber(attempt)
  local lease = now_text .. '+' .. ARGV[at + 2]
  local expired = ''

  local same_generation = generation == held.generation
  local overtaken = same_generation and attempt < held.attempt
  local ended = same_generation and attempt == held.attempt and held.state ~= 'held'
  local given_up = same_generation and held.state == 'dead'
  if held.state == 'delivered' or generation < held.generation or overtaken or ended or given_up then
    return 'settled'
  end
  if held.state == 'held' then
    if held.nonce == nonce and held.worker == worker and same_generation and attempt == held.attempt then
      local is_first = held.before == '' and not held.is_shown
      write_claim(key, is_first and ARGV[at + 3] or ttl, renew_held(held, lease, held.is_shown))
      return 'granted ' .. held.token .. expired_before(held)
    end
    if now < held.lease_end then
      return 'held ' .. whole(held.lease_end - now)
    end
    if same_generation and attempt == held.attempt then
      expired = ' ' .. held.worker .. ' ' .. held.claimed
    end
  end

  -- By the clock, so that tokens grow even over a loss of everything stored.
  local token = now_text
  if tonumber(held.token) >= now then
    token = whole(tonumber(held.token) + 1)
  end
  write_claim(key, ttl, pack_held(ARGV[at], token, ARGV[at + 1], now_text, lease, false, pack_claim(held)))
  return 'granted ' .. token .. expired
end

local answers = {}
for i, key in ipairs(KEYS) do
  local at = COMMON + 1 + (i - 1) * EACH
  answers[i] = claim_first(key, at) or claim(key, at)
end
return answers
