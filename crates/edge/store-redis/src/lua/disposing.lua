-- From the index of open dead letters into that of those dealt with. Notes are no terms, and come after them: of those here all are a
-- letter and digits.

local sub, byte, find = string.sub, string.byte, string.find

-- A term, and what it takes with the space after it.
local TERM_LENGTH, TERM_STEP = 13, 14

-- The `a` members of open entries, by suffix: entries of a plan mostly follow each other.
local function members_by_suffix(index, suffixes)
  table.sort(suffixes)
  local found = {}
  local bottom, top = '[a' .. suffixes[1] .. ' ', '(a' .. suffixes[#suffixes] .. '!'
  for _, member in ipairs(redis.call('ZRANGEBYLEX', index, bottom, top, 'LIMIT', 0, 2 * #suffixes)) do
    found[sub(member, 2, find(member, ' ', 2, true) - 1)] = member
  end
  for _, suffix in ipairs(suffixes) do
    local terms = not found[suffix] and terms_of(index, suffix)
    if terms then
      found[suffix] = 'a' .. suffix .. ' ' .. terms
    end
  end
  return found
end

-- Of one shard. The index is left by one command, and each group once. Members are cut by their lengths, and lists counted by
-- hand: patterns and `#` took as long as some of the commands.
local function leave_open(shard, suffixes)
  local open = shard .. 'letters:open'
  local members = members_by_suffix(open, suffixes)
  local removed, added, left = {}, {}, {}
  local r, a = 0, 0
  for _, suffix in ipairs(suffixes) do
    local member = members[suffix]
    if member then
      local note_at = find(member, ' @', 1, true)
      r, a = r + 1, a + 2
      removed[r], added[a - 1], added[a] = member, '0', note_at and sub(member, 1, note_at - 1) or member
      local from = #suffix + 3
      while (byte(member, from) or 0) >= 97 do
        local entry = sub(member, from, from + TERM_LENGTH - 1) .. suffix
        r, a = r + 1, a + 2
        removed[r], added[a - 1], added[a] = entry, '0', entry
        from = from + TERM_STEP
      end
      if note_at then
        local note = sub(member, note_at + 1)
        local of = left[note] or { terms = sub(member, #suffix + 3), suffixes = {} }
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
