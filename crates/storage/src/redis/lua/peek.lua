-- What a claim would take: priority, due time and id of each.
local destination, limit = take(), take_number()
end_leases()
order()
local found = {}
for priority = 0, 2 do
    local due = redis.call('ZRANGEBYSCORE', waiting(destination, priority), '-inf', now,
        'WITHSCORES', 'LIMIT', 0, limit - #found)
    for i = 1, #due, 2 do
        found[#found + 1] = { priority, due[i + 1], due[i] }
    end
end
return answer(found)
