-- Gives a lease back: 1 if it was the current one.
local id, token = take(), take()
local message = read(id)
if not message or message.token ~= token then
    return answer(0)
end
write()
leave(message)
forget_lease(message)
enter(message, 'waiting')
order()
return answer(1)
