-- KEYS: claim, record, log. ARGV: generation, attempt, worker, nonce, lease in microseconds, milliseconds to keep it
-- all, then id, shard, head, terms, the most entries of the log and the least milliseconds that each is kept.

local generation, attempt, worker, nonce = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local now_text, now = now_text_and_us()
local lease_end = whole(now + tonumber(ARGV[5]))
local held = read_claim(KEYS[1])
local expired = {}

if held then
  local same_generation = generation == held.generation
  local overtaken = same_generation and attempt < held.attempt
  local ended = same_generation and attempt == held.attempt and held.state ~= 'held'
  local given_up = same_generation and held.state == 'dead'
  if held.state == 'delivered' or generation < held.generation or overtaken or ended or given_up then
    return { 'settled' }
  end
  if held.state == 'held' then
    if held.nonce == nonce and held.worker == worker and same_generation and attempt == held.attempt then
      redis.call('HSET', KEYS[1], 'lease_end', lease_end)
      redis.call('PEXPIRE', KEYS[1], ARGV[6])
      return { 'granted', whole(held.token), unpack(expired_before(held)) }
    end
    if now < held.lease_end then
      return { 'held', whole(held.lease_end - now) }
    end
    if same_generation and attempt == held.attempt then
      expired = { held.worker, held.claimed }
    end
  end
end

-- By the clock, so that tokens grow even over a loss of everything stored.
local token = now_text
if held and held.token >= now then
  token = whole(held.token + 1)
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'attempt', ARGV[2], 'state', 'held', 'token', token,
  'worker', worker, 'nonce', nonce, 'claimed', now_text, 'lease_end', lease_end, 'before', held and pack_claim(held) or '')
if held then
  redis.call('HDEL', KEYS[1], 'ended')
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
write_record(KEYS[2], KEYS[3], ARGV[8], {
  now_text = now_text, now = now, id = ARGV[7], head = ARGV[9], terms = ARGV[10],
  entries_max = tonumber(ARGV[11]), kept_us = tonumber(ARGV[12]) * 1000,
  state = 'attempting', generation = ARGV[1], updated = now_text .. '000', ttl = ARGV[6],
})
return { 'granted', token, unpack(expired) }
