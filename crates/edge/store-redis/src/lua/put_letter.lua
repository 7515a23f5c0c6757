-- KEYS: letter, open, disposed. ARGV: shard, suffix, terms, record, disposal, retention in microseconds, milliseconds to keep it.

keep_letter({ letter = KEYS[1], open = KEYS[2], disposed = KEYS[3] }, ARGV[1], {
  suffix = ARGV[2], terms = ARGV[3], record = ARGV[4], disposal = ARGV[5],
  retention_us = tonumber(ARGV[6]), ttl = ARGV[7],
})
return 'kept'
