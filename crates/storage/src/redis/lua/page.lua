-- Messages in the order of their ids, behind one: of one destination, or of all
-- if there is none.
local after, limit, destination = take(), take_number(), take()
local from = after == '' and '-' or '(' .. after
local order = destination and ids_of(destination) or ids
local rows = {}
for i, id in ipairs(redis.call('ZRANGEBYLEX', order, from, '+', 'LIMIT', 0, limit)) do
    rows[i] = row(id)
end
return answer(rows)
