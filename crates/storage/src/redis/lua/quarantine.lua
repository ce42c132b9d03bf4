-- Puts a message that cannot be read aside. All of it stays.
local message, reason = read(take()), take()
if message and message.place ~= 'quarantined' then
    write()
    leave(message)
    forget_lease(message)
    redis.call('ZREM', received, message.id)
    redis.call('HSET', message_key(message.id), 'quarantined', reason)
    enter(message, 'quarantined')
end
order()
return answer(1)
