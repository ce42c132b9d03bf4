-- Settles attempts, each fenced by its token. For each: 0 lease lost, 1 done,
-- 2 changed since it was read.
local function take_settlement()
    local settlement = { id = take(), token = take(), change = take(), notices = {} }
    if settlement.change == 'defer' then
        settlement.revision, settlement.due = take(), take()
        settlement.attempts, settlement.record = take(), take()
    end
    for i = 1, take_number() do
        settlement.notices[i] = take_submission()
    end
    return settlement
end

local function settle(settlement)
    local message = read(settlement.id)
    if not message or message.token ~= settlement.token then
        return 0
    end
    if settlement.change == 'remove' then
        remove(message)
    elseif message.revision ~= settlement.revision then
        return 2
    else
        leave(message)
        forget_lease(message)
        message.due, message.attempts = settlement.due, settlement.attempts
        rewrite(message, settlement.record)
        enter(message, 'waiting')
    end
    for _, notice in ipairs(settlement.notices) do
        insert(notice, 0)
    end
    return 1
end

-- A script that fails undoes nothing, so all is looked at before.
local batch = {}
for i = 1, take_number() do
    batch[i] = take_settlement()
    for _, notice in ipairs(batch[i].notices) do
        if not is_complete(notice) then
            return redis.error_reply(INCOMPLETE)
        end
    end
end
write()
local settled = {}
for i, settlement in ipairs(batch) do
    settled[i] = settle(settlement)
end
order()
return answer(settled)
