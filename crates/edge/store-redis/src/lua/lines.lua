-- The lines of a log, as `log.lua` writes them, for lists.

-- What one call looks at: some milliseconds of the server's time. Reading a block costs as much as looking at so many digests.
local LOOKED_AT_LINES_MAX, READ_COSTS = 512, 8
local DIGESTS_READ = 16

-- What a line has in it when its entry has these terms; nil when none has them.
local function words_of(terms)
  local words = {}
  for _, term in ipairs(terms) do
    local letter = string.sub(term, 1, 1)
    if letter ~= 's' then
      words[#words + 1] = string.upper(letter) .. string.sub(term, 2)
    elseif term ~= 'sd' then
      return nil
    end
  end
  return words
end

-- Appends the suffixes of those lines of a text that have all words, in their order.
local function collect(text, words, into)
  for _, word in ipairs(words) do
    if not string.find(text, word, 1, true) then
      return
    end
  end
  local function take(line)
    for _, word in ipairs(words) do
      if not string.find(line, word, 1, true) then
        return
      end
    end
    into[#into + 1] = string.match(line, '^%S+')
  end
  if #words == 0 then
    for line in string.gmatch(text, '[^\n]+') do
      take(line)
    end
    return
  end
  local at = string.find(text, words[1], 1, true)
  while at do
    local stop = string.find(text, '\n', at, true)
    local before = string.sub(text, math.max(1, at - LINE_BYTES_MAX), at - 1)
    take((string.match(before, '\n([^\n]*)$') or before) .. string.sub(text, at, stop - 1))
    at = string.find(text, words[1], stop, true)
  end
end

-- A list for `list.lua`: from (inclusive), to (exclusive).
local function lines_with(log, terms, from, to)
  local words = words_of(terms)
  if not words then
    return nil
  end
  local blocks, digests, new = log .. ':blocks', log .. ':digests', log .. ':new'
  local list = { newest = '', suffixes = {} }

  local function keep(text, is_sorted)
    local suffixes, kept = {}, {}
    collect(text, words, suffixes)
    if not is_sorted then
      table.sort(suffixes)
    end
    for _, suffix in ipairs(suffixes) do
      if suffix >= from and suffix < to then
        kept[#kept + 1] = suffix
      end
    end
    list.suffixes = kept
  end

  local count = redis.call('LLEN', digests)
  -- Blocks that begin below `to`: the newest of them comes next.
  local function count_below()
    local low, high = 0, count
    while to ~= ':' and low < high do
      local middle = math.floor((low + high) / 2)
      if redis.call('LINDEX', digests, middle) < to then
        low = middle + 1
      else
        high = middle
      end
    end
    return high
  end

  local read, read_from = {}, count
  local function digest_of(block)
    if block < read_from then
      read_from = math.max(0, block + 1 - DIGESTS_READ)
      read = redis.call('LRANGE', digests, read_from, block)
    end
    return read[block - read_from + 1]
  end

  local function may_have_words(digest)
    for _, word in ipairs(words) do
      if not string.find(digest, string.sub(word, 1, DIGEST_CHARS), 1, true) then
        return false
      end
    end
    return true
  end

  local next_block, looked_at, begins = nil, 0, nil
  local function read_more()
    if not next_block then
      next_block = count_below()
      return keep(redis.call('GET', new) or '', false)
    end
    next_block, looked_at = next_block - 1, looked_at + 1
    local digest = digest_of(next_block)
    begins = string.match(digest, '^%S+')
    if may_have_words(digest) then
      looked_at = looked_at + READ_COSTS
      keep(redis.call('LINDEX', blocks, next_block - count), true)
    end
  end

  -- Paused, it shows the place below which it has not looked.
  function list.advance()
    while #list.suffixes == 0 and (next_block or 1) > 0 and not (begins and begins < from) do
      if looked_at >= LOOKED_AT_LINES_MAX then
        list.newest, list.is_paused = begins, true
        return
      end
      read_more()
    end
    list.newest = table.remove(list.suffixes)
  end
  return list
end
