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

local function make_room(log, shard, entries_max)
  for _, suffix in ipairs(oldest(log, 'a', SWEPT_MAX)) do
    if redis.call('EXISTS', shard .. 'record:' .. id_of(suffix)) == 0 then
      forget(log, suffix, shard)
    end
  end
  local surplus = redis.call('ZLEXCOUNT', log, '[a', '(b') - entries_max
  for _ = 1, math.min(surplus, SWEPT_MAX) do
    forget(log, least_wanted(log), shard)
  end
end

-- Writes state and generation; makes the record when it is not there.
local function write_record(key, log, shard, entry)
  local suffix, state = unpack(redis.call('HMGET', key, 'k', 'state'))
  local is_new = not suffix
  if is_new then
    suffix = sortable(entry.now) .. entry.id
    redis.call('HSET', key, 'k', suffix, 'head', entry.head)
    add_to_index(log, suffix, entry.terms)
  else
    redis.call('ZREM', log, state_term(state) .. suffix)
  end
  redis.call('ZADD', log, 0, state_term(entry.state) .. suffix)
  redis.call('HSET', key, 'state', entry.state, 'generation', entry.generation, 'updated', entry.updated)
  redis.call('PEXPIRE', key, entry.ttl)
  if is_new then
    make_room(log, shard, entry.entries_max)
  end
end
