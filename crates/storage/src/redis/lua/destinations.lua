-- The destinations that have mail which is due until then, or until now if that
-- is empty, the longest due first, behind a cursor.
local since, destination, limit, till = take(), take(), take_number(), take()
till = till == '' and now or till

-- As bytes, which is how sorted sets order; Lua goes by the server's locale.
local function is_behind_cursor(name)
    for i = 1, math.min(#name, #destination) do
        local a, b = string.byte(name, i), string.byte(destination, i)
        if a ~= b then
            return a > b
        end
    end
    return #name > #destination
end

end_leases()
order()
local found, offset = {}, 0
local from = since == '' and '-inf' or since
while #found < 2 * limit do
    local batch = redis.call('ZRANGEBYSCORE', heads, from, till, 'WITHSCORES', 'LIMIT', offset, limit)
    for i = 1, #batch, 2 do
        local is_new = tonumber(batch[i + 1]) ~= tonumber(since) or is_behind_cursor(batch[i])
        if is_new and #found < 2 * limit then
            found[#found + 1] = batch[i + 1]
            found[#found + 1] = batch[i]
        end
    end
    if #batch < 2 * limit then
        break
    end
    offset = offset + limit
end
return answer(found)
