-- Deliveries that wait, for the log. KEYS: their claims, and in a cluster one that is never there, as `settle.lua` has them. ARGV: the first
-- four of `settle.lua`; then for each its generation, attempt, head, terms and state.

local COMMON, EACH = 4, 5
local limits, ttl = limits_of(ARGV), ARGV[4]
local now = sortable(limits.now)

local function is_ahead(claim, generation, attempt)
  if not claim then
    return true
  elseif claim.state == 'held' or claim.state == 'delivered' then
    return false
  elseif claim.generation == generation then
    return claim.state ~= 'dead' and claim.attempt < attempt
  end
  return claim.generation < generation
end

local function show(key, generation, attempt, head, terms, state)
  local claim = read_claim(key)
  if not is_ahead(claim, tonumber(generation), tonumber(attempt)) then
    return
  end
  local shard, id = shard_and_id(key, 'claim')
  if not claim then
    -- Or the first claim, that of a delivery which the log does not have yet, would have it appended there a second time.
    write_claim(key, ttl, unpack_claim('0 0 free - 0 0', now))
  end
  write_record(shard, id, {
    begun = now, head = head, terms = terms, ttl = ttl, state = state, generation = generation, updated = now .. '000',
  }, limits)
end

local count = (#ARGV - COMMON) / EACH
local keys = { unpack(KEYS, 1, count) }
read_claims(keys)
local shown = {}
for i, key in ipairs(keys) do
  show(key, unpack(ARGV, COMMON + 1 + (i - 1) * EACH, COMMON + i * EACH))
  shown[i] = 1
end
return shown
