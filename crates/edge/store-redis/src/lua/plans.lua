-- A plan is a hash; the plans that a worker should take up are in a set. Whether a state needs a worker is said by whoever
-- writes it, once for when nothing is outstanding and once for when something is.

local function keep_activity(plan, active, id)
  local outstanding, quiet, waiting = unpack(redis.call('HMGET', plan, 'outstanding', 'quiet', 'waiting'))
  local is_active = quiet
  if outstanding == '1' then
    is_active = waiting
  end
  redis.call(is_active == '1' and 'SADD' or 'SREM', active, id)
end

local function keep_status(plan, active, id, said)
  redis.call('HSET', plan, 'status', said.status, 'revision', said.revision, 'quiet', said.quiet, 'waiting', said.waiting)
  keep_activity(plan, active, id)
end

-- Whether a status is the one after the stored.
local function follows(plan, revision)
  local stored = redis.call('HGET', plan, 'revision')
  return stored and tonumber(stored) + 1 == tonumber(revision)
end
