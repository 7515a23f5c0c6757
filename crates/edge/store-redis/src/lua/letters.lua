-- Dead letters: the record once, and its place in one of two indexes: open, or disposed of. The note `#<bytes>` in the index
-- says how much the record takes. Few have an event or a job in common: by these they are found in an index of all, which they leave
-- only when they are forgotten, and the notes `E` and `J` say which they are.

-- Entries past their retention that one call removes.
local EXPIRED_MAX = 8

local function count_bytes(shard, terms, sign)
  local bytes = string.match(' ' .. terms, ' #(%d+)')
  if bytes then
    redis.call('INCRBY', shard .. 'letters:bytes', sign .. bytes)
  end
end

-- What an entry with these terms has in the index of all.
local function members_in_all(suffix, terms)
  local members = {}
  for word in string.gmatch(' ' .. terms, ' ([EJ]%x+)') do
    members[#members + 1] = string.lower(word) .. suffix
  end
  return members
end

local function add_to_all(shard, suffix, terms)
  for _, member in ipairs(members_in_all(suffix, terms)) do
    redis.call('ZADD', shard .. 'letters:all', '0', member)
  end
end

-- Takes an entry out of this index, the one of all, and the group it is in.
local function leave_indexes(index, shard, suffix)
  local terms = remove_from_index(index, suffix)
  if not terms then
    return
  end
  local members = members_in_all(suffix, terms)
  if #members > 0 then
    redis.call('ZREM', shard .. 'letters:all', unpack(members))
  end
  count_bytes(shard, terms, '-')
  leave_group(index, shard, { suffix }, terms)
end

-- Forgets a dead letter that is in this index.
local function forget_letter(index, shard, suffix)
  redis.call('DEL', shard .. 'letter:' .. id_of(suffix))
  leave_indexes(index, shard, suffix)
end

local function sweep_letters(index, shard, cutoff)
  for _, suffix in ipairs(oldest(index, 'a', EXPIRED_MAX)) do
    if suffix >= cutoff then
      return
    end
    forget_letter(index, shard, suffix)
  end
end

-- Keeps one that is not there yet.
local function keep_letter(shard, letter)
  local key, open, disposed = shard .. 'letter:' .. id_of(letter.suffix), shard .. 'letters:open', shard .. 'letters:disposed'
  local cutoff = sortable(now_us() - letter.retention_us)
  sweep_letters(open, shard, cutoff)
  sweep_letters(disposed, shard, cutoff)
  if redis.call('HSETNX', key, 'k', letter.suffix) == 0 then
    return
  end
  redis.call('HSET', key, 'record', letter.record, 'disposal', letter.disposal)
  redis.call('PEXPIRE', key, letter.ttl)
  local terms = letter.terms .. ' #' .. #letter.record
  count_bytes(shard, terms, '')
  add_to_all(shard, letter.suffix, terms)
  if letter.disposal == '' then
    terms = terms .. ' ' .. join_group(shard, letter.suffix, letter.group)
    add_to_index(open, letter.suffix, terms)
  else
    add_to_index(disposed, letter.suffix, terms)
  end
end

-- What `letter_args` in Rust appends, from this argument on.
local function letter_of(at)
  return {
    suffix = ARGV[at], terms = ARGV[at + 1], record = ARGV[at + 2], disposal = ARGV[at + 3],
    retention_us = tonumber(ARGV[at + 4]), ttl = ARGV[at + 5],
    group = { project = ARGV[at + 6], name = ARGV[at + 7], head = ARGV[at + 8], groups_max = tonumber(ARGV[at + 9]) },
  }
end
