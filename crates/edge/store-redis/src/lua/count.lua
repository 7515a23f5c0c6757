-- KEYS: an index. ARGV: term, age at most in microseconds.

local cutoff = sortable(now_us() - tonumber(ARGV[2]))
return redis.call('ZLEXCOUNT', KEYS[1], '[' .. ARGV[1] .. cutoff, '(' .. ARGV[1] .. ':')
