-- Counts of traffic: hashes `traffic:<step><chunk>:<what it is counted for>`, which hold some dozens of steps and so stay
-- small enough for the compact form. A field is the step within the chunk and a letter: `d`elivered, `f`ailed, given up (`x`).

-- How long a key is kept since its first count: what is told of is younger.
local KEPT_S = { m = 3 * 3600, h = 12 * 86400 }
local KINDS = { 'd', 'f', 'x' }

-- steps: words, in twos: `<step><chunk>` and the offset in it. targets and counts: words.
local function count_traffic(shard, steps, targets, counts)
  targets, counts = split(targets), split(counts)
  for chunk, offset in string.gmatch(steps, '(%S+) (%S+)') do
    local prefix = shard .. 'traffic:' .. chunk .. ':'
    for i, by in ipairs(counts) do
      if by ~= '0' then
        local field = offset .. KINDS[i]
        for _, target in ipairs(targets) do
          local key = prefix .. target
          if redis.call('HINCRBY', key, field, by) == tonumber(by) then
            redis.call('EXPIRE', key, KEPT_S[string.sub(chunk, 1, 1)])
          end
        end
      end
    end
  end
end
