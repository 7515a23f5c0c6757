-- KEYS: an index, a record. ARGV: suffix, shard. Takes an entry out of the index whose record is gone.

if redis.call('HGET', KEYS[2], 'k') ~= ARGV[1] then
  leave_indexes(KEYS[1], ARGV[2], ARGV[1])
  for _, term in ipairs({ 'sa', 'sw', 'sd', 'sx' }) do
    redis.call('ZREM', KEYS[1], term .. ARGV[1])
  end
end
return 'pruned'
