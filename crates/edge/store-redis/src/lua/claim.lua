-- Claims, each answered in its place, in words. KEYS: the claims. ARGV: milliseconds to keep each; then for each generation,
-- attempt, worker, nonce, lease in microseconds.

local COMMON, EACH = 1, 5
local ttl = ARGV[1]
local now_text, now = now_text_and_us()
-- Most answers are this one, which is put together once.
local GRANTED_NOW = 'granted ' .. now_text

-- at: its first argument.
local function claim(key, at)
  local generation, attempt, worker, nonce = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local lease = now_text .. '+' .. ARGV[at + 4]
  local held = read_claim(key)
  local expired = ''

  if held then
    local same_generation = generation == held.generation
    local overtaken = same_generation and attempt < held.attempt
    local ended = same_generation and attempt == held.attempt and held.state ~= 'held'
    local given_up = same_generation and held.state == 'dead'
    if held.state == 'delivered' or generation < held.generation or overtaken or ended or given_up then
      return 'settled'
    end
    if held.state == 'held' then
      if held.nonce == nonce and held.worker == worker and same_generation and attempt == held.attempt then
        write_claim(key, ttl, renew_held(held, lease, held.is_shown))
        return 'granted ' .. held.token .. expired_before(held)
      end
      if now < held.lease_end then
        return 'held ' .. whole(held.lease_end - now)
      end
      if same_generation and attempt == held.attempt then
        expired = ' ' .. held.worker .. ' ' .. held.claimed
      end
    end
  end

  -- By the clock, so that tokens grow even over a loss of everything stored.
  local token, before = now_text, ''
  if held then
    before = pack_claim(held)
    if tonumber(held.token) >= now then
      token = whole(tonumber(held.token) + 1)
    end
  end
  write_claim(key, ttl, pack_held(token, ARGV[at], ARGV[at + 1], worker, nonce, now_text, lease, false, before))
  return token == now_text and expired == '' and GRANTED_NOW or 'granted ' .. token .. expired
end

read_claims(KEYS)
local answers = {}
for i, key in ipairs(KEYS) do
  answers[i] = claim(key, COMMON + 1 + (i - 1) * EACH)
end
return answers
