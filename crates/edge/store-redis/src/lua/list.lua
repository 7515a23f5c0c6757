-- KEYS: an index; of a log also its blocks, their digests and new lines. ARGV: from (inclusive), to (exclusive), age at most in microseconds
-- (0: any; of a log, that of lines), entries at most, terms, and terms of which one is enough (empty: none is needed).
-- Answers the matching suffixes, newest first, and where to go on; empty at the end.

-- Entries one call looks at: some milliseconds of the server's time. The caller goes on from where it stopped.
local LOOKED_AT_MAX = 2000

local from, limit = ARGV[1], tonumber(ARGV[4])
local oldest_kept = from
if ARGV[3] ~= '0' then
  local cutoff = sortable(now_us() - tonumber(ARGV[3]))
  oldest_kept = cutoff > from and cutoff or from
end
if #KEYS == 1 then
  from = oldest_kept
end

-- Entries read from one list at once.
local READ_MAX = 200

local terms, any_of = split(ARGV[5]), split(ARGV[6])

local function count_of(term)
  return redis.call('ZLEXCOUNT', KEYS[1], '[' .. term .. from, '(' .. term .. ARGV[2])
end

-- What is walked: the shortest of the lists that an entry must be in, or all lists of which one is enough, merged, when
-- these are shorter together.
local walked, fewest = nil, nil
for _, term in ipairs(terms) do
  local count = count_of(term)
  if not fewest or count < fewest then
    walked, fewest = { term }, count
  end
end
if #any_of > 0 then
  local together = 0
  for _, term in ipairs(fewest and any_of or {}) do
    together = together + count_of(term)
  end
  if not fewest or together < fewest then
    walked = any_of
  end
end
walked = walked or { 'a' }

local function has(suffix, term)
  return redis.call('ZSCORE', KEYS[1], term .. suffix)
end

-- Whether the lists that are not walked have the entry too.
local function matches(suffix)
  for _, term in ipairs(terms) do
    if not (#walked == 1 and walked[1] == term) and not has(suffix, term) then
      return false
    end
  end
  if #any_of == 0 or walked == any_of then
    return true
  end
  for _, term in ipairs(any_of) do
    if has(suffix, term) then
      return true
    end
  end
  return false
end

-- Most lists of a merge give few entries, and most entries that other lists are asked for do not match.
local is_filtered = #terms + #any_of > #walked
local read_first = #walked > 1 and 2 + math.floor(limit / #walked) or is_filtered and READ_MAX or limit

-- Each list's newest entry not yet looked at; none at the list's end.
local lists = {}
for i, term in ipairs(walked) do
  lists[i] = { term = term, newest = '', to = ARGV[2], read_max = read_first, entries = {}, at = 0 }
end

local function advance(list)
  list.at = list.at + 1
  if list.at > #list.entries and not list.is_read then
    local top, bottom = '(' .. list.term .. list.to, '[' .. list.term .. from
    list.entries = redis.call('ZREVRANGEBYLEX', KEYS[1], top, bottom, 'LIMIT', 0, list.read_max)
    list.is_read = #list.entries < list.read_max
    list.read_max = math.max(list.read_max, math.min(4 * list.read_max, READ_MAX))
    list.at = 1
  end
  local entry = list.entries[list.at]
  list.newest = entry and string.match(string.sub(entry, #list.term + 1), '^%S+')
  list.to = list.newest
end

-- The lines of a log are one more list: of those that have all terms. See `log.lua`.
local lines = #KEYS > 1 and lines_with(KEYS[1], terms, oldest_kept, ARGV[2])
if lines then
  lists[#lists + 1] = lines
end

local found, reached = {}, ''
for _ = 1, LOOKED_AT_MAX do
  local newest = nil
  for _, list in ipairs(lists) do
    -- An entry may be in several lists.
    if list.newest == reached then
      (list.advance or advance)(list)
    end
    if list.newest and (not newest or list.newest > newest) then
      newest = list.newest
    end
  end
  if not newest then
    return { found, '' }
  end
  reached = newest
  if lines and lines.newest == newest then
    if lines.is_paused then
      break
    end
    found[#found + 1] = newest
  elseif matches(newest) then
    found[#found + 1] = newest
  end
  if #found == limit then
    break
  end
end
return { found, reached }
