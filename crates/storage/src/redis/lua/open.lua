#!lua flags=allow-oom
-- Opens a shard, and makes it if it may be made. ARGV: the version of the keys,
-- a generation for a new queue, how many shards it is to have, and 1 or 0.
-- Gives version, generation, shards, writes and whether the queue is complete.
local lost = redis.call('HGET', KEYS[1], 'lost')
if lost then
    return redis.error_reply('SLIMTALOST ' .. lost)
end
if redis.call('EXISTS', KEYS[1]) == 0 then
    if ARGV[4] == '0' then
        return false
    end
    redis.call('HSET', KEYS[1], 'version', ARGV[1], 'generation', ARGV[2], 'shards', ARGV[3],
        'writes', 0)
end
return redis.call('HMGET', KEYS[1], 'version', 'generation', 'shards', 'writes', 'is_complete')
