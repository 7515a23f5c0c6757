-- KEYS: log, its blocks, one that is never there: see `settle.lua`. ARGV: as `settle.lua` has them first, then the terms of an entry, and how many
-- entries may be new before this is done again. Forgets a block, or a few entries, and answers whether there may be more to forget.

local log, limits = KEYS[1], limits_of(ARGV)
local shard = string.sub(log, 1, -#'log' - 1)
return make_room(log, shard, limits, count_set(log, ARGV[4]), tonumber(ARGV[5])) and 1 or 0
