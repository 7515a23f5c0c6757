-- KEYS: open, disposed. ARGV: how many of each at most.

local found = oldest(KEYS[1], 'a', tonumber(ARGV[1]))
for _, suffix in ipairs(oldest(KEYS[2], 'a', tonumber(ARGV[1]))) do
  found[#found + 1] = suffix
end
return found
