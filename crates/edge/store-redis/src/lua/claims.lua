-- A claim is a hash. Its state is `held`, `settled`, `delivered`, `dead`; or `free`, when the only claim there was is released.

local function read_claim(key)
  local fields = redis.call('HMGET', key, 'generation', 'attempt', 'state', 'token', 'worker', 'claimed', 'lease_end', 'ended', 'before', 'nonce')
  if not fields[4] then
    return nil
  end
  return {
    generation = tonumber(fields[1]),
    attempt = tonumber(fields[2]),
    state = fields[3],
    token = tonumber(fields[4]),
    worker = fields[5],
    claimed = fields[6],
    lease_end = tonumber(fields[7]),
    ended = tonumber(fields[8]),
    before = fields[9],
    nonce = fields[10],
  }
end

-- What a release returns to: all of the claim but its token.
local function pack_claim(claim)
  local worker, claimed, lease_end = claim.worker or '-', claim.claimed or '0', whole(claim.lease_end or 0)
  return table.concat({ claim.generation, claim.attempt, claim.state, worker, claimed, lease_end }, ' ')
end

-- Who held the same attempt before this claim and never settled it, and since when.
local function expired_before(claim)
  local generation, attempt, state, worker, claimed = unpack(split(claim.before))
  if state == 'held' and tonumber(generation) == claim.generation and tonumber(attempt) == claim.attempt then
    return { worker, claimed }
  end
  return {}
end

local function restore_claim(key, packed)
  local generation, attempt, state, worker, claimed, lease_end = unpack(split(packed))
  redis.call('HSET', key, 'generation', generation, 'attempt', attempt, 'state', state,
    'worker', worker, 'claimed', claimed, 'lease_end', lease_end)
end
