-- KEYS: webhooks, ids of the project.

local records = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  records[#records + 1] = redis.call('HGET', KEYS[1], id)
end
return records
