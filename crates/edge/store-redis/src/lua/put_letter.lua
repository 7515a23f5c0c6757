-- KEYS: letter, open, disposed. ARGV: shard, then the letter.

keep_letter({ letter = KEYS[1], open = KEYS[2], disposed = KEYS[3] }, ARGV[1], letter_of(2))
return 'kept'
