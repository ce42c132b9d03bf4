-- How much waits for each destination, and how much of it is due.
end_leases()
order()
local found = {}
for i = 1, take_number() do
    local destination = take()
    local all, due = 0, 0
    for priority = 0, 2 do
        local key = waiting(destination, priority)
        all = all + redis.call('ZCARD', key)
        due = due + redis.call('ZCOUNT', key, '-inf', now)
    end
    found[i] = { all, due }
end
return answer(found)
