-- Shared by every script; see docs/store.md for what each key holds. All keys of one call lie in one slot.

-- Of a moment as text until 2286: so texts sort as their moments do.
local MOMENT_DIGITS = 16

-- Microseconds since 1970, as text and as number. Turning a number into text costs as much as a command: the text is put together.
local function now_text_and_us()
  local time = redis.call('TIME')
  local text = time[1] .. string.rep('0', 6 - #time[2]) .. time[2]
  return text, tonumber(text)
end

local function now_us()
  local _, us = now_text_and_us()
  return us
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Moments in index members sort as text.
local function sortable(us)
  return string.format('%016.0f', math.max(us, 0))
end

-- Lines of a text, each of which ends with a line feed. Found by the plain search, which is several times as fast as a pattern.
local function lines_of(text)
  local lines, from = {}, 1
  local stop = string.find(text, '\n', 1, true)
  while stop do
    lines[#lines + 1] = string.sub(text, from, stop - 1)
    from = stop + 1
    stop = string.find(text, '\n', from, true)
  end
  return lines
end

local function split(text)
  local words = {}
  for word in string.gmatch(text, '%S+') do
    words[#words + 1] = word
  end
  return words
end

-- An index holds, for each entry, `<term><moment><id>` once a term, and `a<moment><id> <terms>` once, so that whoever
-- removes an entry need not read it. All scores are 0: the order is that of the text. Words among the terms that do not begin
-- with a small letter are notes: an entry is not found by them here.
local function is_note(word)
  return string.byte(word) < 97
end

-- more: a term that the entry is found by and that changes, so that it is not kept among the others. Answers how many members
-- the entry has.
local function add_to_index(index, suffix, terms, more)
  local members = { '0', 'a' .. suffix .. ' ' .. terms }
  if more then
    members[3], members[4] = '0', more .. suffix
  end
  for word in string.gmatch(terms, '%S+') do
    if not is_note(word) then
      members[#members + 1] = '0'
      members[#members + 1] = word .. suffix
    end
  end
  redis.call('ZADD', index, unpack(members))
  return #members / 2
end

-- The terms of an entry; nil when it is not there.
local function terms_of(index, suffix)
  local bottom, top = '[a' .. suffix .. ' ', '(a' .. suffix .. '!'
  local found = redis.call('ZRANGEBYLEX', index, bottom, top, 'LIMIT', 0, 1)[1]
  return found and string.sub(found, #suffix + 3)
end

-- Removes an entry; its terms, or nil when it was not there.
local function remove_from_index(index, suffix)
  local terms = terms_of(index, suffix)
  if not terms then
    return nil
  end
  local members = { 'a' .. suffix .. ' ' .. terms }
  for _, term in ipairs(split(terms)) do
    members[#members + 1] = term .. suffix
  end
  redis.call('ZREM', index, unpack(members))
  return terms
end

local function oldest(index, term, count)
  local suffixes = {}
  local members = redis.call('ZRANGEBYLEX', index, '[' .. term .. '0', '(' .. term .. ':', 'LIMIT', 0, count)
  for i, member in ipairs(members) do
    suffixes[i] = string.match(string.sub(member, #term + 1), '^%S+')
  end
  return suffixes
end

local function id_of(suffix)
  return string.sub(suffix, MOMENT_DIGITS + 1)
end

-- What every key of the shard begins with, and the id that a key of this kind ends with.
local function shard_and_id(key, kind)
  local stop = string.find(key, '}:', 1, true) + 1
  return string.sub(key, 1, stop), string.sub(key, stop + #kind + 2)
end

-- A line of a log: a moment, the id of a delivery, and a handful of terms, 13 characters each.
local LINE_BYTES_MAX = 256
-- Of each term, in the digest of a block of lines.
local DIGEST_CHARS = 5
