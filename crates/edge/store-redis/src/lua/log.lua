-- The log of deliveries: one record a delivery, found through the shard's index. Most are delivered at once: their records follow
-- their claims and are never changed, and their lines are appended. All others are in the sorted set.
--
-- A record that is brought here, or follows a claim, is lines after one of the claim: the moment of the last change, the state, the head,
-- and an attempt each.

local STATE_TERMS = { attempting = 'sa', waiting = 'sw', delivered = 'sd', dead_lettered = 'sx' }
-- Entries looked at for removal by one call: more than one, so that the log shrinks faster than it grows.
local SWEPT_MAX = 4
-- How long after its claim a delivery may be appended, so that lines are nearly in the order of their moments.
local LATE_US = 1000000
-- Of a claim, before its record, no more.
local CLAIM_BYTES_MAX = 128

-- Of a call, whose first arguments are: the most entries of a log, the least milliseconds that each is kept, lines of a block.
local function limits_of(arguments)
  return {
    now = now_us(), entries_max = tonumber(arguments[1]), kept_us = tonumber(arguments[2]) * 1000, per_block = tonumber(arguments[3]),
  }
end

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

-- The oldest final entry of the set.
local function oldest_final(log)
  local delivered = oldest(log, STATE_TERMS.delivered, 1)[1]
  local dead = oldest(log, STATE_TERMS.dead_lettered, 1)[1]
  if delivered and dead then
    return delivered < dead and delivered or dead
  end
  return delivered or dead
end

-- Lines lie in `<log>:new` as they came, and sorted in the list `<log>:blocks`, oldest first, so many each; `blocks.rs` sorts them. Reading a
-- block costs the more the longer it is: `<log>:digests` has its first suffix, and of each term in it the first digits.

-- Anchored: looked for at every digit of the line before, it took the server 0.18 ms (Redis 7.0.15), for each record that is not appended.
local function newest_moment(block)
  local tail = string.sub(block, -LINE_BYTES_MAX)
  return string.match(tail, '^.*\n(%d+)[^\n]*\n$') or string.match(tail, '^%d+')
end

-- The claim stays, for as long as it would have. token: that of the record.
local function forget_delivered(key, token)
  local claim = redis.call('GETRANGE', key, 0, CLAIM_BYTES_MAX)
  local stop = string.find(claim, '\n', 1, true)
  if stop and string.sub(claim, stop - #token, stop - 1) == token then
    redis.call('SET', key, string.sub(claim, 1, stop - 1), 'KEEPTTL')
  end
end

local function forget_block(log, shard)
  local block, from = redis.call('LPOP', log .. ':blocks'), 1
  redis.call('LPOP', log .. ':digests')
  while from < #block do
    local id = from + MOMENT_DIGITS
    local blank = string.find(block, ' ', id, true)
    local stop = blank and string.find(block, '\n', blank, true)
    if not stop then
      break
    end
    forget_delivered(shard .. 'claim:' .. string.sub(block, id, blank - 1), string.sub(block, from, id - 1))
    from = stop + 1
  end
end

-- Forgets the oldest final entries while there are too many, then the oldest of all: a block, or a few entries. Answers whether there may be
-- more. in_set and in_new: how many entries are in the set, and are not yet in a block.
local function make_room(log, shard, limits, in_set, in_new)
  local blocks, per_block = log .. ':blocks', limits.per_block
  local surplus = in_set + in_new + redis.call('LLEN', blocks) * per_block - limits.entries_max
  local cutoff = sortable(limits.now - limits.kept_us - LATE_US)
  for _ = 1, SWEPT_MAX do
    -- A block is long, and its digest begins as it does.
    local first = redis.call('LINDEX', log .. ':digests', 0)
    local is_expired = first and first < cutoff and newest_moment(redis.call('LINDEX', blocks, 0)) < cutoff
    if surplus <= 0 and not is_expired then
      return false
    end
    local final = in_set > 0 and oldest_final(log)
    if first and (is_expired or not final or first < final) then
      forget_block(log, shard)
      return true
    else
      local suffix = final or oldest(log, 'a', 1)[1]
      if not suffix then
        return false
      end
      forget(log, suffix, shard)
      surplus = surplus - 1
    end
  end
  return true
end

-- Entries of the set: all have as many members, an `a`, a state and their terms.
local function count_set(log, terms)
  local _, count = string.gsub(terms, '%S+', '')
  return math.ceil(redis.call('ZCARD', log) / (count + 2))
end

-- Records of the set that expired are forgotten, a few a call.
local function sweep_set(log, shard, limits)
  local first = oldest(log, 'a', 1)[1]
  if first and tonumber(string.sub(first, 1, MOMENT_DIGITS)) < limits.now - limits.kept_us then
    for _, suffix in ipairs(oldest(log, 'a', SWEPT_MAX)) do
      if redis.call('EXISTS', shard .. 'record:' .. id_of(suffix)) == 0 then
        forget(log, suffix, shard)
      end
    end
  end
end

-- Whether it is time to sort new lines into blocks: so many bytes there are, and of this length each. That is looked at each time
-- there is a block more, and done when half of them can be, so that none is sorted often.
local function is_block_due(log, limits, bytes, line_bytes)
  local block_bytes = line_bytes * limits.per_block
  if math.floor(bytes / block_bytes) == math.floor((bytes - line_bytes) / block_bytes) then
    return false
  end
  if bytes / line_bytes > limits.entries_max / 2 then
    return true
  end
  local middle = math.max(block_bytes, math.floor(bytes / 2)) - 2 * line_bytes
  local moment = string.match(redis.call('GETRANGE', log .. ':new', middle, middle + 2 * line_bytes), '\n(%d+)')
  return moment and moment < sortable(limits.now - LATE_US)
end

-- line: of a first attempt that is delivered at once. Answers whether it is time to sort.
local function append_line(shard, line, limits)
  local log = shard .. 'log'
  return is_block_due(log, limits, redis.call('APPEND', log .. ':new', line), #line)
end

-- One that was delivered and is not, after all: claims were lost. It is kept as the others are.
local function reopen(claim, shard, id, terms)
  local lines, suffix = lines_of(claim.record), claim.token .. id
  local updated, state, head = unpack(lines, 1, 3)
  redis.call('HSET', shard .. 'record:' .. id, 'k', suffix, 'head', head,
    'state', state, 'generation', claim.generation, 'updated', updated)
  if #lines > 3 then
    redis.call('RPUSH', shard .. 'attempts:' .. id, unpack(lines, 4))
  end
  add_to_index(shard .. 'log', suffix, string.lower(terms), state_term(state))
  return suffix, state
end

-- Writes state and generation; makes the record when it is not there, with the moment when the attempt was begun for its place.
-- entry.delivered: the claim that it followed, if it did.
local function write_record(shard, id, entry, limits)
  local key, log = shard .. 'record:' .. id, shard .. 'log'
  local suffix, state = unpack(redis.call('HMGET', key, 'k', 'state'))
  if not suffix and entry.delivered then
    suffix, state = reopen(entry.delivered, shard, id, entry.terms)
  end
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
  suffix = entry.begun .. id
  redis.call('HSET', key, 'k', suffix, 'head', entry.head,
    'state', entry.state, 'generation', entry.generation, 'updated', entry.updated)
  redis.call('PEXPIRE', key, entry.ttl)
  add_to_index(log, suffix, string.lower(entry.terms), term)
  sweep_set(log, shard, limits)
  local line_bytes = #suffix + #entry.terms + 2
  make_room(log, shard, limits, count_set(log, entry.terms), math.ceil(redis.call('STRLEN', log .. ':new') / line_bytes))
end
