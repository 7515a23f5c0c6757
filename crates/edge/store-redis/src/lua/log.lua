-- The log of deliveries: one record a delivery, found through the shard's index.

local STATE_TERMS = { attempting = 'sa', waiting = 'sw', delivered = 'sd', dead_lettered = 'sx' }
-- Entries looked at for removal by one call: more than one, so that the log shrinks faster than it grows.
local SWEPT_MAX = 4

local function state_term(state)
  return STATE_TERMS[string.match(state, '^[a-z_]+')]
end

local function forget(log, suffix, shard)
  remove_from_index(log, suffix)
  for _, term in pairs(STATE_TERMS) do
    redis.call('ZREM', log, term .. suffix)
  end
  local record = shard .. 'record:' .. id_of(suffix)
  if redis.call('HGET', record, 'k') == suffix then
    redis.call('DEL', record, shard .. 'attempts:' .. id_of(suffix))
  end
end

-- The oldest final entry, or the oldest of all when none is final.
local function least_wanted(log)
  local delivered = oldest(log, STATE_TERMS.delivered, 1)[1]
  local dead = oldest(log, STATE_TERMS.dead_lettered, 1)[1]
  if delivered and dead then
    return delivered < dead and delivered or dead
  end
  return delivered or dead or oldest(log, 'a', 1)[1]
end

-- entry: what was just added. Records that expired are forgotten, a few a call, and then those that are too many. How many
-- there are is told by the members: all entries have as many.
local function make_room(log, shard, entry, members)
  local first = oldest(log, 'a', 1)[1]
  local cutoff = entry.now - entry.kept_us
  if first and tonumber(string.sub(first, 1, 16)) < cutoff then
    for _, suffix in ipairs(oldest(log, 'a', SWEPT_MAX)) do
      if redis.call('EXISTS', shard .. 'record:' .. id_of(suffix)) == 0 then
        forget(log, suffix, shard)
      end
    end
  end
  local surplus = math.ceil(redis.call('ZCARD', log) / members) - entry.entries_max
  for _ = 1, math.min(surplus, SWEPT_MAX) do
    forget(log, least_wanted(log), shard)
  end
end

-- Writes state and generation; makes the record when it is not there, with the moment when the attempt was begun for its place.
local function write_record(key, log, shard, entry)
  local suffix, state = unpack(redis.call('HMGET', key, 'k', 'state'))
  local term = state_term(entry.state)
  if suffix then
    local before = state_term(state)
    if before ~= term then
      redis.call('ZREM', log, before .. suffix)
      redis.call('ZADD', log, '0', term .. suffix)
    end
    redis.call('HSET', key, 'state', entry.state, 'generation', entry.generation, 'updated', entry.updated)
    redis.call('PEXPIRE', key, entry.ttl)
    return
  end
  suffix = entry.begun .. entry.id
  redis.call('HSET', key, 'k', suffix, 'head', entry.head,
    'state', entry.state, 'generation', entry.generation, 'updated', entry.updated)
  redis.call('PEXPIRE', key, entry.ttl)
  make_room(log, shard, entry, add_to_index(log, suffix, entry.terms, term))
end
