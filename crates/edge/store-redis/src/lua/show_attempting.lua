-- KEYS: claim, record, log, delivered. ARGV: generation, attempt, milliseconds to keep it, id, shard, head, terms, the most
-- entries of the log and the least milliseconds that each is kept.

read_claims({ KEYS[1] })
local held = read_claim(KEYS[1])
if held and held.state == 'held' and held.generation == tonumber(ARGV[1]) and held.attempt == tonumber(ARGV[2]) then
  local now_text, now = now_text_and_us()
  write_record(KEYS[2], KEYS[3], KEYS[4], ARGV[5], {
    now = now, begun = held.claimed, id = ARGV[4], head = ARGV[6], terms = ARGV[7],
    entries_max = tonumber(ARGV[8]), kept_us = tonumber(ARGV[9]) * 1000,
    state = 'attempting', generation = ARGV[1], updated = now_text .. '000', ttl = ARGV[3],
  })
  if not held.is_shown then
    write_claim(KEYS[1], ARGV[3], pack_held(held, held.lease, true))
  end
end
