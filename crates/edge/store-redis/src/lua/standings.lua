-- KEYS: claims. Answers state, generation and attempt of each in words; an empty text where there is none.

local standings = {}
read_claims(KEYS, function(i, text)
  standings[i] = string.match(text, '^(%l+ %d+ %d+) %d+ %S')
  return standings[i]
end)
for i, key in ipairs(KEYS) do
  local claim = not standings[i] and read_claim(key)
  if claim then
    standings[i] = claim.state .. ' ' .. claim.generation .. ' ' .. claim.attempt
  end
  standings[i] = standings[i] or ''
end
return standings
