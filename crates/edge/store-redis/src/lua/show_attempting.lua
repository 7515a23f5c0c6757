-- KEYS: claim, record, log, one that is never there: see `settle.lua`. ARGV: as `settle.lua` has them first, then generation, attempt,
-- milliseconds to keep it, head, terms.

local generation, attempt, ttl, head, terms = unpack(ARGV, 4)
read_claims({ KEYS[1] })
local held = read_claim(KEYS[1])
if held and held.state == 'held' and held.generation == tonumber(generation) and held.attempt == tonumber(attempt) then
  local shard, id = shard_and_id(KEYS[1], 'claim')
  local limits = limits_of(ARGV)
  write_record(shard, id, {
    begun = held.claimed, head = head, terms = terms, ttl = ttl,
    state = 'attempting', generation = generation, updated = sortable(limits.now) .. '000',
  }, limits)
  if not held.is_shown then
    write_claim(KEYS[1], ttl, renew_held(held, held.lease, true))
  end
end
