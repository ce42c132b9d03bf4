-- The mail that is kept back just now: destinations, end or nothing, reason.
local found = {}
local all = redis.call('HGETALL', suspensions)
for i = 1, #all, 2 do
    local ends, reason = string.match(all[i + 1], '^(%-?%d*) (.*)$')
    if ends == '' or tonumber(ends) > now then
        found[#found + 1] = { all[i], ends, reason }
    end
end
return answer(found)
