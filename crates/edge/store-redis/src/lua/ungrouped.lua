-- KEYS: open. ARGV: from (exclusive, a suffix; empty: the oldest), entries at most.
-- Answers the suffixes of entries without a group, oldest first, and where to go on; empty at the end.

local from = ARGV[1] == '' and '[a0' or '(a' .. ARGV[1] .. '!'
local members = redis.call('ZRANGEBYLEX', KEYS[1], from, '(a:', 'LIMIT', 0, tonumber(ARGV[2]))
local found, last = {}, ''
for _, member in ipairs(members) do
  local suffix = string.match(member, '^a(%S+)')
  last = suffix
  if not note_of(member) then
    found[#found + 1] = suffix
  end
end
return { found, #members < tonumber(ARGV[2]) and '' or last }
