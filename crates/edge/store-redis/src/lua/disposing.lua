-- From the index of open dead letters into that of those dealt with. Notes are no terms: of those here all are a letter and digits.

-- The terms of open entries, by suffix: entries of a plan mostly follow each other.
local function terms_by_suffix(index, suffixes)
  table.sort(suffixes)
  local found = {}
  local bottom, top = '[a' .. suffixes[1] .. ' ', '(a' .. suffixes[#suffixes] .. '!'
  for _, member in ipairs(redis.call('ZRANGEBYLEX', index, bottom, top, 'LIMIT', 0, 2 * #suffixes)) do
    local suffix, terms = string.match(member, '^a(%S+) (.*)$')
    found[suffix] = terms
  end
  for _, suffix in ipairs(suffixes) do
    found[suffix] = found[suffix] or terms_of(index, suffix)
  end
  return found
end

-- Of one shard. The index is left by one command, and each group once.
local function leave_open(shard, suffixes)
  local open = shard .. 'letters:open'
  local terms_of_each = terms_by_suffix(open, suffixes)
  local removed, added, left = {}, {}, {}
  for _, suffix in ipairs(suffixes) do
    local terms = terms_of_each[suffix]
    if terms then
      local note, kept = string.match(terms, '@%S+'), without_note(terms)
      removed[#removed + 1] = 'a' .. suffix .. ' ' .. terms
      added[#added + 1] = '0'
      added[#added + 1] = 'a' .. suffix .. ' ' .. kept
      for term in string.gmatch(kept, '%l%x+') do
        local member = term .. suffix
        removed[#removed + 1] = member
        added[#added + 1] = '0'
        added[#added + 1] = member
      end
      if note then
        local of = left[note] or { terms = terms, suffixes = {} }
        left[note] = of
        of.suffixes[#of.suffixes + 1] = suffix
      end
    end
  end
  if #removed == 0 then
    return
  end
  redis.call('ZREM', open, unpack(removed))
  redis.call('ZADD', shard .. 'letters:disposed', unpack(added))
  for _, of in pairs(left) do
    leave_group(open, shard, of.suffixes, of.terms)
  end
end
