-- What a claim would take, in its order: priority, unless it goes by age, due time
-- and id of each.
local destination, limit, by_age = take(), take_number(), take() == 'true'
end_leases()
order()
return answer(first_due(destination, limit, by_age))
