-- The message of an id and all messages of the submission of that id, in any
-- order.
local id = take()
local rows = {}
for _, name in ipairs(redis.call('HKEYS', submission_key(id))) do
    if name ~= 'bytes' and name ~= id then
        rows[#rows + 1] = row(name)
    end
end
rows[#rows + 1] = row(id)
return answer(rows)
