-- Messages in the order of their ids, behind one.
local after, limit = take(), take_number()
local from = after == '' and '-' or '(' .. after
local rows = {}
for i, id in ipairs(redis.call('ZRANGEBYLEX', ids, from, '+', 'LIMIT', 0, limit)) do
    rows[i] = row(id)
end
return answer(rows)
