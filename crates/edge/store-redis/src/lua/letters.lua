-- Dead letters: the record once, and its place in one of two indexes: open, or disposed of.

-- Entries past their retention that one call removes.
local EXPIRED_MAX = 8

local function sweep_letters(index, shard, cutoff)
  for _, suffix in ipairs(oldest(index, 'a', EXPIRED_MAX)) do
    if suffix >= cutoff then
      return
    end
    remove_from_index(index, suffix)
    redis.call('DEL', shard .. 'letter:' .. id_of(suffix))
  end
end

-- Keeps one that is not there yet.
local function keep_letter(keys, shard, letter)
  local cutoff = sortable(now_us() - letter.retention_us)
  sweep_letters(keys.open, shard, cutoff)
  sweep_letters(keys.disposed, shard, cutoff)
  if redis.call('HSETNX', keys.letter, 'k', letter.suffix) == 0 then
    return
  end
  redis.call('HSET', keys.letter, 'record', letter.record, 'disposal', letter.disposal)
  redis.call('PEXPIRE', keys.letter, letter.ttl)
  add_to_index(letter.disposal == '' and keys.open or keys.disposed, letter.suffix, letter.terms)
end
