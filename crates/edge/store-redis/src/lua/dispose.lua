-- KEYS: letter, open, disposed. ARGV: disposal (empty: open), whether an earlier disposal is replaced.

local suffix, earlier = unpack(redis.call('HMGET', KEYS[1], 'k', 'disposal'))
if not suffix then
  return { 'gone' }
end
if earlier ~= '' and ARGV[2] ~= '1' then
  return { 'already', earlier }
end
redis.call('HSET', KEYS[1], 'disposal', ARGV[1])
local from = earlier == '' and KEYS[2] or KEYS[3]
local to = ARGV[1] == '' and KEYS[2] or KEYS[3]
if from ~= to then
  local terms = remove_from_index(from, suffix)
  if terms then
    add_to_index(to, suffix, terms)
  end
end
return { 'disposed' }
