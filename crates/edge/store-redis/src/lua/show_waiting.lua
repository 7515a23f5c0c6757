-- KEYS: claim, record, log, one that is never there: see `settle.lua`. ARGV: as `settle.lua` has them first, then generation, attempt,
-- milliseconds to keep it, head, terms, state.

local generation, attempt, ttl, head, terms, state = unpack(ARGV, 4)
generation, attempt = tonumber(generation), tonumber(attempt)
read_claims({ KEYS[1] })
local claim = read_claim(KEYS[1])

local function is_ahead()
  if not claim then
    return true
  elseif claim.state == 'held' or claim.state == 'delivered' then
    return false
  elseif claim.generation == generation then
    return claim.state ~= 'dead' and claim.attempt < attempt
  end
  return claim.generation < generation
end

if is_ahead() then
  local shard, id = shard_and_id(KEYS[1], 'claim')
  local limits = limits_of(ARGV)
  local now = sortable(limits.now)
  if not claim then
    -- Or the first claim, that of a delivery which the log does not have yet, would have it appended there a second time.
    write_claim(KEYS[1], ttl, unpack_claim('0 0 free - 0 0', now))
  end
  write_record(shard, id, {
    begun = now, head = head, terms = terms, ttl = ttl, state = state, generation = generation, updated = now .. '000',
  }, limits)
end
