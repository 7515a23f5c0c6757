-- KEYS: an index; of dead letters also that of all; of a log also its blocks, their digests and new lines. ARGV: from (inclusive), to (exclusive), age at most in microseconds
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
local is_log = #KEYS > 2
if not is_log then
  from = oldest_kept
end

-- Entries read from one list at once.
local READ_MAX = 200

local terms, any_of = split(ARGV[5]), split(ARGV[6])

-- Where entries are found by this term. By event and job dead letters are in the index of all; those that an earlier release stored
-- are in this one.
local THIS, OF_DEAD_LETTERS = { KEYS[1] }, { KEYS[1], KEYS[2] }
local function indexes_of(term)
  local is_of_all = not is_log and string.find(term, '^[ej]')
  return is_of_all and OF_DEAD_LETTERS or THIS
end

local function count_of(term)
  local count = 0
  for _, index in ipairs(indexes_of(term)) do
    count = count + redis.call('ZLEXCOUNT', index, '[' .. term .. from, '(' .. term .. ARGV[2])
  end
  return count
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
  for _, index in ipairs(indexes_of(term)) do
    if redis.call('ZSCORE', index, term .. suffix) then
      return true
    end
  end
  return false
end

-- The index of all has entries that are not in this one.
local walks_all = false
for _, term in ipairs(walked) do
  walks_all = walks_all or indexes_of(term) == OF_DEAD_LETTERS
end

-- Each list's newest entry not yet looked at; none at the list's end.
local lists = {}

local function is_of_this_index(suffix)
  for _, list in ipairs(lists) do
    if list.index == KEYS[1] and list.newest == suffix then
      return true
    end
  end
  return terms_of(KEYS[1], suffix)
end

-- Whether the lists that are not walked have the entry too.
local function matches(suffix)
  if walks_all and not is_of_this_index(suffix) then
    return false
  end
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
local is_filtered = walks_all or #terms + #any_of > #walked
local read_first = #walked > 1 and 2 + math.floor(limit / #walked) or is_filtered and READ_MAX or limit

for _, term in ipairs(walked) do
  for _, index in ipairs(indexes_of(term)) do
    lists[#lists + 1] = { index = index, term = term, newest = '', to = ARGV[2], read_max = read_first, entries = {}, at = 0 }
  end
end

local function advance(list)
  list.at = list.at + 1
  if list.at > #list.entries and not list.is_read then
    local top, bottom = '(' .. list.term .. list.to, '[' .. list.term .. from
    list.entries = redis.call('ZREVRANGEBYLEX', list.index, top, bottom, 'LIMIT', 0, list.read_max)
    list.is_read = #list.entries < list.read_max
    list.read_max = math.max(list.read_max, math.min(4 * list.read_max, READ_MAX))
    list.at = 1
  end
  local entry = list.entries[list.at]
  list.newest = entry and string.match(string.sub(entry, #list.term + 1), '^%S+')
  list.to = list.newest
end

-- The lines of a log are one more list: of those that have all terms. See `log.lua`.
local lines = is_log and lines_with(KEYS[1], terms, oldest_kept, ARGV[2])
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
