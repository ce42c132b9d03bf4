-- A message that has left its place goes another way from now on.
local function move(message, destination)
    if destination ~= message.destination then
        redis.call('ZREM', ids_of(message.destination), message.id)
        redis.call('ZADD', ids_of(destination), 0, message.id)
        redis.call('HSET', message_key(message.id), 'destination', destination)
        message.destination = destination
    end
end

-- Changes messages as an operator wants it, unless they are leased. For each:
-- 0 gone, 1 done, 2 changed since it was read, 3 leased.
local function edit(message, revision, change)
    if not message or message.place == 'quarantined' then
        return 0
    end
    if is_leased(message) then
        return 3
    end
    if message.revision ~= revision then
        return 2
    end
    if change.is_removal then
        remove(message)
    else
        leave(message)
        message.due, message.is_held = change.due, change.is_held
        move(message, change.destination)
        rewrite(message, change.record)
        enter(message, 'waiting')
    end
    return 1
end

end_leases()
write()
local edited, is_changed = {}, false
for i = 1, take_number() do
    local message, revision = read(take()), take()
    local change = { is_removal = take() == 'remove' }
    if not change.is_removal then
        change.due, change.is_held = take(), take()
        change.destination, change.record = take(), take()
    end
    edited[i] = edit(message, revision, change)
    is_changed = is_changed or edited[i] == 1
end
if is_changed then
    publish()
end
order()
return answer(edited)
