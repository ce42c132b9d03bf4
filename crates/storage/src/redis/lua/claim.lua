-- Leases due messages of a destination: by priority, then the longest due.
local destination, limit, owner, duration = take(), take_number(), take(), take_number()
end_leases()
write()
local ends, claimed = lease_end(duration), {}
for priority = 0, 2 do
    local key = waiting(destination, priority)
    local due = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, limit - #claimed)
    for _, id in ipairs(due) do
        local message = read(id)
        if message then
            leave(message)
            local token = grant(message, owner, ends)
            local record = redis.call('HGET', message_key(id), 'record')
            claimed[#claimed + 1] = { id, token, ends, record }
        else
            redis.call('ZREM', key, id)
        end
    end
end
order()
return answer(claimed)
