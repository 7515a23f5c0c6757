-- KEYS: letter, open, disposed: all are named, see `settle.lua`. ARGV: shard, then the letter.

keep_letter(ARGV[1], letter_of(2))
return 'kept'
