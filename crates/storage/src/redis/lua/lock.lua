-- Leases one message, due or not. Nil if it is unknown, empty if it is leased.
local id, owner, duration = take(), take(), take_number()
end_leases()
local message = read(id)
local locked = message ~= nil and {}
if message and message.place ~= 'quarantined' and not is_leased(message) then
    write()
    leave(message)
    local ends = lease_end(duration)
    local token = grant(message, owner, ends)
    locked = { { id, token, ends, redis.call('HGET', message_key(id), 'record') } }
end
order()
return answer(locked)
