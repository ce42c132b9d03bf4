-- Says that somebody manages for so long from now, or ceases to; gives all who
-- do.
local managers = base .. 'managers'
local owner, duration = take(), take_number()
if duration == 0 then
    redis.call('ZREM', managers, owner)
else
    redis.call('ZADD', managers, lease_end(duration), owner)
end
redis.call('ZREMRANGEBYSCORE', managers, '-inf', now)
return answer(redis.call('ZRANGE', managers, 0, -1))
