-- KEYS: letter. ARGV: shard, then the letter.

keep_letter(ARGV[1], letter_of(2))
return 'kept'
