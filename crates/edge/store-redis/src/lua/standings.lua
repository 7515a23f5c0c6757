-- KEYS: claims. Answers state, generation and attempt of each; nothing where there is none.

read_claims(KEYS)
local standings = {}
for i, key in ipairs(KEYS) do
  local claim = read_claim(key)
  standings[i] = claim and { claim.state, claim.generation, claim.attempt } or {}
end
return standings
