-- Lets the mail for some destinations go again; says whether it was kept back.
local destinations = take()
local kept_back = redis.call('HGET', suspensions, destinations)
if not kept_back then
    return answer(0)
end
write()
redis.call('HDEL', suspensions, destinations)
publish()
local ends = tonumber(string.match(kept_back, '^%-?%d+'))
return answer((not ends or ends > now) and 1 or 0)
