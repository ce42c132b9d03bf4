-- Stores a submission; gives the leases on its first messages.
local owner, duration, leased = take(), take_number(), take_number()
local submission = take_submission()
if not is_complete(submission) then
    return redis.error_reply(INCOMPLETE)
end
end_leases()
write()
local granted = insert(submission, leased, owner, lease_end(duration))
if granted and #granted < #submission.messages then
    publish()
end
order()
return answer(granted or {})
