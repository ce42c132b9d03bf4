-- The counts, and when the oldest message was received.
end_leases()
order()
local counts = redis.call('HMGET', shard, 'messages', 'deferred', 'held', 'quarantined', 'bytes')
local oldest = redis.call('ZRANGE', received, 0, 0)[1]
counts[6] = oldest and redis.call('HGET', message_key(oldest), 'received') or false
return answer(counts)
