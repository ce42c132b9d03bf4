-- Leases due messages of a destination: by priority, then the longest due; or the
-- longest due of all.
local destination, limit, by_age = take(), take_number(), take() == 'true'
local owner, duration = take(), take_number()
end_leases()
write()
local ends, claimed = lease_end(duration), {}
for _, due in ipairs(first_due(destination, limit, by_age)) do
    local id = due[3]
    local message = read(id)
    if message then
        leave(message)
        local token = grant(message, owner, ends)
        local record = redis.call('HGET', message_key(id), 'record')
        claimed[#claimed + 1] = { id, token, ends, record }
    else
        for priority = 0, 2 do
            redis.call('ZREM', waiting(destination, priority), id)
        end
    end
end
order()
return answer(claimed)
