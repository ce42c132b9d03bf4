-- Makes leases end later; 1 for each that was the current one.
local ends, renewed = lease_end(take_number()), {}
write()
for i = 1, take_number() do
    local message, token = read(take()), take()
    if message and message.token == token then
        leave(message)
        message.lease_end = ends
        redis.call('HSET', message_key(message.id), 'lease_end', ends)
        enter(message, 'leased')
        renewed[i] = 1
    else
        renewed[i] = 0
    end
end
order()
return answer(renewed)
