-- Keeps the mail for some destinations back. The value begins with the end, or
-- with nothing. What has ended is forgotten. Gives 0 if there are too many.
local destinations, most = take(), take_number()
local ends, reason = take(), take()
local all = redis.call('HGETALL', suspensions)
for i = 1, #all, 2 do
    local ended = tonumber(string.match(all[i + 1], '^%-?%d+'))
    if ended and ended <= now then
        redis.call('HDEL', suspensions, all[i])
    end
end
if redis.call('HEXISTS', suspensions, destinations) == 0 and
    redis.call('HLEN', suspensions) >= most then
    return answer(0)
end
write()
redis.call('HSET', suspensions, destinations, ends .. ' ' .. reason)
publish()
return answer(1)
