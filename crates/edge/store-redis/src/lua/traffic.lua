-- Counts of traffic: hashes `traffic:<step><chunk>:<what it is counted for>`, which hold some dozens of steps and so stay
-- small enough for the compact form. A field is the step within the chunk and a letter: `d`elivered, `f`ailed, given up (`x`).
--
-- What is settled is noted in `traffic:new`, a line each. At some hundred lines those that are alike become one in the list
-- `traffic:sums`, and each call after that adds a few of these to the hashes: where destinations are many, all of them are
-- thousands of commands, in which the server would do nothing else. Whoever reads has all added before. A line is `<steps>|<targets>|<counts>`,
-- words each; steps in twos: `<step><chunk>` and the offset in it. In the list its number stands before it.

-- How long a key is kept since its first count: what is told of is younger.
local KEPT_S = { m = 3 * 3600, h = 12 * 86400 }
local KINDS = { 'd', 'f', 'x' }
-- Some hundred lines.
local NEW_BYTES_MAX = 65536
-- How many of the list are added at least in a call, besides two for each line that it notes: the list is empty before more come to it.
local ADDED_LEAST = 8
-- Arguments of one command; a script has room for some thousand.
local AT_ONCE_MAX = 1000

local function add(shard, name, field, by)
  local key = shard .. 'traffic:' .. name
  if redis.call('HINCRBY', key, field, by) == by then
    redis.call('EXPIRE', key, KEPT_S[string.sub(name, 1, 1)])
  end
end

local function each(line, use)
  local steps, targets, counts = string.match(line, '^(.*)|(.*)|(.*)$')
  targets, counts = split(targets), split(counts)
  for chunk, offset in string.gmatch(steps, '(%S+) (%S+)') do
    for i, by in ipairs(counts) do
      if by ~= '0' then
        for _, target in ipairs(targets) do
          use(chunk .. ':' .. target, offset .. KINDS[i], by)
        end
      end
    end
  end
end

local function gather_traffic(shard)
  local new, sums = shard .. 'traffic:new', shard .. 'traffic:sums'
  local times, different = {}, {}
  for _, line in ipairs(lines_of(redis.call('GET', new) or '')) do
    if not times[line] then
      different[#different + 1] = line
    end
    times[line] = (times[line] or 0) + 1
  end
  for i, line in ipairs(different) do
    different[i] = times[line] .. ' ' .. line
  end
  for first = 1, #different, AT_ONCE_MAX do
    redis.call('RPUSH', sums, unpack(different, first, math.min(first + AT_ONCE_MAX - 1, #different)))
  end
  redis.call('EXPIRE', sums, KEPT_S.h)
  redis.call('DEL', new)
end

-- Adds so many of the list; whether there may be more.
local function add_up(shard, count)
  local lines = redis.call('LPOP', shard .. 'traffic:sums', count)
  if not lines then
    return false
  end
  local sums = {}
  for _, numbered in ipairs(lines) do
    local times, line = string.match(numbered, '^(%d+) (.*)$')
    each(line, function(name, field, by)
      local fields = sums[name] or {}
      sums[name] = fields
      fields[field] = (fields[field] or 0) + by * times
    end)
  end
  for name, fields in pairs(sums) do
    for field, by in pairs(fields) do
      add(shard, name, field, by)
    end
  end
  return #lines == count
end

-- lines: of one call, all noted in one shard: whoever reads adds the shards up.
local function note_traffic(shard, lines)
  if #lines == 0 then
    return
  end
  local key = shard .. 'traffic:new'
  if redis.call('APPEND', key, table.concat(lines, '\n') .. '\n') >= NEW_BYTES_MAX then
    gather_traffic(shard)
  else
    redis.call('EXPIRE', key, KEPT_S.h)
  end
  add_up(shard, ADDED_LEAST + 2 * #lines)
end
