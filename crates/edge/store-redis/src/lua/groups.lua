-- Groups of open dead letters. `groups` is the set of projects that have any; `groups:<project>` a hash from fingerprint to
-- `<open> <oldest> <newest> <head>`, both by their suffix. The note `@<project>/<fingerprint>` in the index says which group
-- a dead letter is in. What has no room lies in the group `-`, which is only counted: `<open>`.

local REST = '-'

local function read_group(packed)
  local open, first, last, head = string.match(packed, '^(%d+) (%S+) (%S+) (.*)$')
  if open then
    return tonumber(open), first, last, head
  end
  return tonumber(packed)
end

local function write_group(key, name, open, first, last, head)
  local packed = first and table.concat({ whole(open), first, last, head }, ' ') or whole(open)
  redis.call('HSET', key, name, packed)
end

-- The note of the group that a dead letter joins, which it does.
local function join_group(shard, suffix, group)
  local key, name = shard .. 'groups:' .. group.project, group.name
  local packed = redis.call('HGET', key, name)
  if not packed and redis.call('HLEN', key) >= group.groups_max then
    name = REST
    packed = redis.call('HGET', key, name)
  end
  if not packed then
    redis.call('SADD', shard .. 'groups', group.project)
  end
  local open, first, last, head = read_group(packed or '0')
  if name ~= REST then
    head = head or group.head
    first = first and first < suffix and first or suffix
    last = last and last > suffix and last or suffix
  end
  write_group(key, name, open + 1, first, last, head)
  return '@' .. group.project .. '/' .. name
end

local function note_of(terms)
  return string.match(terms, '@(%S*)/(%S+)')
end

local function cause_of(terms)
  return string.match(' ' .. terms, ' (c%x+)')
end

-- The oldest open dead letter of a cause, and the newest.
local function first_of(index, cause)
  local first = redis.call('ZRANGEBYLEX', index, '[' .. cause .. '0', '(' .. cause .. ':', 'LIMIT', 0, 1)[1]
  return first and string.sub(first, #cause + 1)
end

local function last_of(index, cause)
  local last = redis.call('ZREVRANGEBYLEX', index, '(' .. cause .. ':', '[' .. cause .. '0', 'LIMIT', 0, 1)[1]
  return last and string.sub(last, #cause + 1)
end

-- Takes dead letters out of the group that they are in; they must be out of the index. suffixes: in their order; terms: of any.
local function leave_group(index, shard, suffixes, terms)
  local project, name = note_of(terms)
  if not name then
    return
  end
  local key = shard .. 'groups:' .. project
  local packed = redis.call('HGET', key, name)
  if not packed then
    return
  end
  local open, first, last, head = read_group(packed)
  if open <= #suffixes then
    redis.call('HDEL', key, name)
    if redis.call('EXISTS', key) == 0 then
      redis.call('SREM', shard .. 'groups', project)
    end
    return
  end
  if suffixes[1] == first then
    first = first_of(index, cause_of(terms)) or first
  end
  if suffixes[#suffixes] == last then
    last = last_of(index, cause_of(terms)) or last
  end
  write_group(key, name, open - #suffixes, first, last, head)
end
