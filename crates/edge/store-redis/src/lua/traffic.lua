-- Counts of traffic: hashes `traffic:<step><chunk>:<what it is counted for>`, which hold some dozens of steps and so stay
-- small enough for the compact form. A field is the step within the chunk and a letter: `d`elivered, `f`ailed, given up (`x`).

-- How long a key is kept since its first count: what is told of is younger.
local KEPT_S = { m = 3 * 3600, h = 12 * 86400 }
local KINDS = { 'd', 'f', 'x' }

-- What one call counts, and how often: what is settled together counts mostly for the same.
local counted, lines = {}, {}

-- steps: words, in twos: `<step><chunk>` and the offset in it. targets and counts: words.
local function count_traffic(steps, targets, counts)
  local name = steps .. '|' .. targets .. '|' .. counts
  local line = counted[name]
  if line then
    line.times = line.times + 1
  else
    line = { steps = steps, targets = split(targets), counts = split(counts), times = 1 }
    counted[name], lines[#lines + 1] = line, line
  end
end

local function add(shard, name, field, by)
  local key = shard .. 'traffic:' .. name
  if redis.call('HINCRBY', key, field, by) == tonumber(by) then
    redis.call('EXPIRE', key, KEPT_S[string.sub(name, 1, 1)])
  end
end

local function each(line, use)
  for chunk, offset in string.gmatch(line.steps, '(%S+) (%S+)') do
    for i, by in ipairs(line.counts) do
      if by ~= '0' then
        for _, target in ipairs(line.targets) do
          use(chunk .. ':' .. target, offset .. KINDS[i], by)
        end
      end
    end
  end
end

-- All in one shard: whoever reads adds the shards up.
local function write_traffic(shard)
  if #lines == 1 and lines[1].times == 1 then
    -- The text as it came: making one of a number costs as much as a command.
    return each(lines[1], function(name, field, by)
      add(shard, name, field, by)
    end)
  end
  local sums = {}
  for _, line in ipairs(lines) do
    each(line, function(name, field, by)
      sums[name] = sums[name] or {}
      sums[name][field] = (sums[name][field] or 0) + by * line.times
    end)
  end
  for name, fields in pairs(sums) do
    for field, by in pairs(fields) do
      add(shard, name, field, by)
    end
  end
end
