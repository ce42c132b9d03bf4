-- Messages by their ids; nil for each that is not there.
local rows = {}
for i = 1, take_number() do
    rows[i] = row(take())
end
return answer(rows)
