-- KEYS: letter, open, disposed. ARGV: disposal (empty: open), whether an earlier disposal is replaced, shard; when it is
-- opened again, and the caller has read it, the group it joins: project, fingerprint, head, groups at most.

local suffix, earlier = unpack(redis.call('HMGET', KEYS[1], 'k', 'disposal'))
if not suffix then
  return { 'gone' }
end
if earlier ~= '' and ARGV[2] ~= '1' then
  return { 'already', earlier }
end
redis.call('HSET', KEYS[1], 'disposal', ARGV[1])
local was_open, is_open = earlier == '', ARGV[1] == ''
if was_open and not is_open then
  leave_open(ARGV[3], { suffix })
elseif is_open and not was_open then
  local terms = remove_from_index(KEYS[3], suffix)
  if terms then
    local group = { project = ARGV[4], name = ARGV[5], head = ARGV[6], groups_max = tonumber(ARGV[7]) }
    add_to_index(KEYS[2], suffix, terms .. ' ' .. join_group(ARGV[3], suffix, group))
  end
end
return { 'disposed' }
