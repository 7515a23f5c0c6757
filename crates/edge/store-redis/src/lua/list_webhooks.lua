-- KEYS: webhooks, ids of the project. Each id, and what is stored of it.

local found = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local stored = redis.call('HGET', KEYS[1], id)
  if stored then
    found[#found + 1] = { id, stored }
  end
end
return found
