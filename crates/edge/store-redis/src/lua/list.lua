-- KEYS: an index. ARGV: from (inclusive), to (exclusive), age at most in microseconds (0: any), entries at most, terms, and
-- terms of which one is enough (empty: none is needed).
-- Answers the matching suffixes, newest first, and where to go on; empty at the end.

-- Entries one call looks at: some milliseconds of the server's time. The caller goes on from where it stopped.
local LOOKED_AT_MAX = 2000

local from, limit = ARGV[1], tonumber(ARGV[4])
if ARGV[3] ~= '0' then
  local cutoff = sortable(now_us() - tonumber(ARGV[3]))
  from = cutoff > from and cutoff or from
end

-- Walks the shortest of the lists asked for, and asks the others whether they have the entry too.
local function walk(terms, looked_at_max)
  local to = ARGV[2]
  local shortest, fewest = 'a', nil
  for _, term in ipairs(terms) do
    local count = redis.call('ZLEXCOUNT', KEYS[1], '[' .. term .. from, '(' .. term .. to)
    if not fewest or count < fewest then
      shortest, fewest = term, count
    end
  end

  local function matches(suffix)
    for _, term in ipairs(terms) do
      if term ~= shortest and not redis.call('ZSCORE', KEYS[1], term .. suffix) then
        return false
      end
    end
    return true
  end

  local found, looked_at = {}, 0
  while looked_at < looked_at_max do
    local batch = #terms > 1 and 200 or limit - #found
    local members = redis.call('ZREVRANGEBYLEX', KEYS[1], '(' .. shortest .. to, '[' .. shortest .. from, 'LIMIT', 0, batch)
    for _, member in ipairs(members) do
      local suffix = string.match(string.sub(member, #shortest + 1), '^%S+')
      to = suffix
      if matches(suffix) then
        found[#found + 1] = suffix
        if #found == limit then
          return found, to
        end
      end
    end
    if #members < batch then
      return found, ''
    end
    looked_at = looked_at + #members
  end
  return found, to
end

local any_of = split(ARGV[6])
if #any_of == 0 then
  local found, reached = walk(split(ARGV[5]), LOOKED_AT_MAX)
  return { found, reached }
end

-- One walk for each; what lies above the point that all have reached is complete.
local found, seen, reached = {}, {}, ''
for _, term in ipairs(any_of) do
  local some, to = walk(split(ARGV[5] .. ' ' .. term), math.max(200, LOOKED_AT_MAX / #any_of))
  reached = to > reached and to or reached
  for _, suffix in ipairs(some) do
    if not seen[suffix] then
      seen[suffix] = true
      found[#found + 1] = suffix
    end
  end
end
table.sort(found, function(a, b) return a > b end)
local complete = {}
for _, suffix in ipairs(found) do
  if suffix < reached then
    break
  end
  complete[#complete + 1] = suffix
  if #complete == limit then
    reached = suffix
    break
  end
end
return { complete, reached }
