-- KEYS: letter, open. ARGV: shard, suffix, then the group: project, fingerprint, head, groups at most.
-- Puts one that an earlier release stored into its group, and notes how much it takes.

local terms = terms_of(KEYS[2], ARGV[2])
if not terms or note_of(terms) then
  return 0
end
remove_from_index(KEYS[2], ARGV[2])
if not string.find(' ' .. terms, ' #') then
  terms = terms .. ' #' .. redis.call('HSTRLEN', KEYS[1], 'record')
  count_bytes(ARGV[1], terms, '')
end
local group = { project = ARGV[3], name = ARGV[4], head = ARGV[5], groups_max = tonumber(ARGV[6]) }
add_to_index(KEYS[2], ARGV[2], terms .. ' ' .. join_group(ARGV[1], ARGV[2], group))
return 1
