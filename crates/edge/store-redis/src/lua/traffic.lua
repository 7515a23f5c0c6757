-- Counts of traffic: hashes `traffic:<step><chunk>:<what it is counted for>`, which hold some dozens of steps and so stay
-- small enough for the compact form. A field is the step within the chunk and a letter: `d`elivered, `f`ailed, given up (`x`).
--
-- What is settled is noted in `traffic:new`, a line each, and added to the hashes some hundred lines at once, most of which
-- are alike; or when somebody reads. A line is `<steps>|<targets>|<counts>`, words each; steps in twos: `<step><chunk>` and the
-- offset in it.

-- How long a key is kept since its first count: what is told of is younger.
local KEPT_S = { m = 3 * 3600, h = 12 * 86400 }
local KINDS = { 'd', 'f', 'x' }
-- Some hundred lines.
local NEW_BYTES_MAX = 65536

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

local function add_up_traffic(shard)
  local new = redis.call('GET', shard .. 'traffic:new')
  if not new then
    return
  end
  local times = {}
  for _, line in ipairs(lines_of(new)) do
    times[line] = (times[line] or 0) + 1
  end
  local sums = {}
  for line, count in pairs(times) do
    each(line, function(name, field, by)
      local fields = sums[name] or {}
      sums[name] = fields
      fields[field] = (fields[field] or 0) + by * count
    end)
  end
  for name, fields in pairs(sums) do
    for field, by in pairs(fields) do
      add(shard, name, field, by)
    end
  end
  redis.call('DEL', shard .. 'traffic:new')
end

-- lines: of one call, all noted in one shard: whoever reads adds the shards up.
local function note_traffic(shard, lines)
  if #lines == 0 then
    return
  end
  local key = shard .. 'traffic:new'
  if redis.call('APPEND', key, table.concat(lines, '\n') .. '\n') >= NEW_BYTES_MAX then
    return add_up_traffic(shard)
  end
  redis.call('EXPIRE', key, KEPT_S.h)
end
