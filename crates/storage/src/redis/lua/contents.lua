-- Some chunks of the contents of a message, behind how many there are. Nil if
-- there is no such message.
local message, first, limit = read(take()), take_number(), take_number()
if not message or message.place == 'quarantined' then
    return answer(false)
end
local key = contents_key(message.submission)
local chunks = redis.call('LRANGE', key, first, first + limit - 1)
return answer({ redis.call('LLEN', key), chunks })
