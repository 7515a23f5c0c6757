-- KEYS: claim, record, log, one that is never there: see `settle.lua`. ARGV: generation, attempt, milliseconds to keep it, head, terms, the most entries of the log and the least
-- milliseconds that each is kept.

read_claims({ KEYS[1] })
local held = read_claim(KEYS[1])
if held and held.state == 'held' and held.generation == tonumber(ARGV[1]) and held.attempt == tonumber(ARGV[2]) then
  local now_text, now = now_text_and_us()
  local shard, id = shard_and_id(KEYS[1], 'claim')
  local limits = { now = now, entries_max = tonumber(ARGV[6]), kept_us = tonumber(ARGV[7]) * 1000 }
  write_record(shard, id, {
    begun = held.claimed, head = ARGV[4], terms = ARGV[5], ttl = ARGV[3],
    state = 'attempting', generation = ARGV[1], updated = now_text .. '000',
  }, limits)
  if not held.is_shown then
    write_claim(KEYS[1], ARGV[3], renew_held(held, held.lease, true))
  end
end
