-- When something can be claimed next.
end_leases()
order()
local head = redis.call('ZRANGE', heads, 0, 0, 'WITHSCORES')[2]
local lease = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')[2]
if head and lease then
    return answer(tonumber(head) < tonumber(lease) and head or lease)
end
return answer(head or lease or false)
