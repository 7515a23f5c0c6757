-- KEYS: an index. ARGV: from (inclusive), to (exclusive), age at most in microseconds (0: any), entries at most, terms.
-- Answers the matching suffixes, newest first, and where to go on; empty at the end.

-- Entries one call looks at: some milliseconds of the server's time. The caller goes on from where it stopped.
local LOOKED_AT_MAX = 2000

local from, to, limit, terms = ARGV[1], ARGV[2], tonumber(ARGV[4]), split(ARGV[5])
if ARGV[3] ~= '0' then
  local cutoff = sortable(now_us() - tonumber(ARGV[3]))
  from = cutoff > from and cutoff or from
end

-- Walks the shortest of the lists asked for, and asks the others whether they have the entry too.
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
while looked_at < LOOKED_AT_MAX do
  local batch = #terms > 1 and 200 or limit - #found
  local members = redis.call('ZREVRANGEBYLEX', KEYS[1], '(' .. shortest .. to, '[' .. shortest .. from, 'LIMIT', 0, batch)
  for _, member in ipairs(members) do
    local suffix = string.match(string.sub(member, #shortest + 1), '^%S+')
    to = suffix
    if matches(suffix) then
      found[#found + 1] = suffix
      if #found == limit then
        return { found, to }
      end
    end
  end
  if #members < batch then
    return { found, '' }
  end
  looked_at = looked_at + #members
end
return { found, to }
