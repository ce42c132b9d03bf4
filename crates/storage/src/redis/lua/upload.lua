-- Sends a part of large contents ahead. What is never stored goes by itself.
local key, keep_millis = take(), take()
for _ = 1, take_number() do
    redis.call('RPUSH', key, take())
end
redis.call('PEXPIRE', key, keep_millis)
return answer(1)
