-- Counts of traffic: hashes `traffic:<step><chunk>:<what it is counted for>`, which hold some dozens of steps and so stay
-- small enough for the compact form. A field is the step within the chunk and a letter: `d`elivered, `f`ailed, given up (`x`).

local MINUTES_PER_CHUNK, HOURS_PER_CHUNK = 60, 96
-- A chunk, and how long its steps are kept: two hours, eight days.
local MINUTES_KEPT_S, HOURS_KEPT_S = 3 * 3600, 12 * 86400

local function count_step(shard, step, chunk_steps, kept_s, number, targets, counts)
  local chunk, offset = math.floor(number / chunk_steps), number % chunk_steps
  local prefix = shard .. 'traffic:' .. step .. whole(chunk) .. ':'
  for i, kind in ipairs({ 'd', 'f', 'x' }) do
    local by = counts[i]
    if by ~= '0' then
      for _, target in ipairs(targets) do
        local key = prefix .. target
        if redis.call('HINCRBY', key, offset .. kind, by) == tonumber(by) then
          redis.call('EXPIRE', key, kept_s)
        end
      end
    end
  end
end

-- minute: since 1970. targets and counts: words.
local function count_traffic(shard, minute, targets, counts)
  targets, counts = split(targets), split(counts)
  count_step(shard, 'm', MINUTES_PER_CHUNK, MINUTES_KEPT_S, minute, targets, counts)
  count_step(shard, 'h', HOURS_PER_CHUNK, HOURS_KEPT_S, math.floor(minute / 60), targets, counts)
end
