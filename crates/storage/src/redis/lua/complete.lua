-- Says on the first shard that all others were made.
redis.call('HSET', shard, 'is_complete', 1)
return answer(1)
