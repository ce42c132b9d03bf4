-- What all scripts but open.lua begin with. docs/design/redis.md names the keys.
--
-- KEYS[1] is the hash of the shard, {PREFIX:NUMBER}:shard; all other keys that
-- a script touches have the same tag, and so lie in the same slot. ARGV begins
-- with the time in milliseconds (empty: that of this server), the generation of
-- the queue and the writes that the caller knows of; the rest is the call's.

local shard = KEYS[1]
local base = string.sub(shard, 1, -6)
local ids, received = base .. 'ids', base .. 'received'
local heads, leases = base .. 'heads', base .. 'leases'

local position = 3
local function take()
    position = position + 1
    return ARGV[position]
end
local function take_number()
    return tonumber(take())
end

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A queue that is not the one that was opened, or lacks what was answered for,
-- must not be worked on. That is kept, so that nobody goes on until an operator
-- has looked, not even one who comes later.
local kept = redis.call('HMGET', shard, 'generation', 'writes', 'lost')
local writes, lost = tonumber(kept[2]), kept[3]
if not lost then
    if not kept[1] then
        lost = 'the queue is gone: the server came back empty'
    elseif kept[1] ~= ARGV[2] then
        lost = 'another queue is in the place of this one'
    elseif writes < tonumber(ARGV[3]) then
        lost = 'the server went back in time: it has ' .. kept[2] .. ' writes, and ' .. ARGV[3] ..
            ' were answered'
    end
    if lost then
        redis.call('HSET', shard, 'lost', lost)
    end
end
if lost then
    return redis.error_reply('SLIMTALOST ' .. lost)
end

-- Every script that changes something says so, once.
local function write()
    writes = redis.call('HINCRBY', shard, 'writes', 1)
end

local function answer(value)
    return { writes, now, value }
end

-- Wakes the managers of other processes.
local function publish()
    redis.call('PUBLISH', string.match(base, '^{(.*):%d+}:$') .. ':changed', '')
end

-- --- messages ------------------------------------------------------------------

local function message_key(id)
    return base .. 'message:' .. id
end

local FIELDS = { 'place', 'submission', 'destination', 'priority', 'due', 'received', 'attempts',
    'is_held', 'revision', 'token', 'lease_end' }

-- A message without its record; nil if there is none.
local function read(id)
    local values = redis.call('HMGET', message_key(id), unpack(FIELDS))
    if not values[1] then
        return nil
    end
    local message = { id = id }
    for i, field in ipairs(FIELDS) do
        message[field] = values[i]
    end
    return message
end

local function is_leased(message)
    return message.place == 'leased' and tonumber(message.lease_end) > now
end

-- A message as listings see it.
local function row(id)
    local message = read(id)
    if not message then
        return false
    end
    local rest = redis.call('HMGET', message_key(id), 'record', 'quarantined', 'lease_owner')
    local in_force = is_leased(message)
    return { id, rest[1], message.revision, rest[2], in_force and rest[3],
        in_force and message.lease_end }
end

-- --- the order of what waits -----------------------------------------------------

local function waiting(destination, priority)
    return base .. 'waiting:' .. priority .. ':' .. destination
end

-- The first due messages of a destination: priority, due time and id of each. By
-- priority, then the longest due; or the longest due of all, with no priority.
local function first_due(destination, limit, by_age)
    local first = {}
    for priority = 0, 2 do
        local left = by_age and limit or limit - #first
        local due = redis.call('ZRANGEBYSCORE', waiting(destination, priority), '-inf', now,
            'WITHSCORES', 'LIMIT', 0, left)
        for i = 1, #due, 2 do
            first[#first + 1] = { by_age and 0 or priority, tonumber(due[i + 1]), due[i] }
        end
    end
    if by_age then
        table.sort(first, function(a, b)
            return a[2] < b[2] or a[2] == b[2] and a[3] < b[3]
        end)
        for i = #first, limit + 1, -1 do
            first[i] = nil
        end
    end
    return first
end

-- Destinations whose first message may be another than before.
local touched = {}

-- Once, at the end of each script that let messages enter or leave.
local function order()
    for destination in pairs(touched) do
        local first
        for priority = 0, 2 do
            local found = redis.call('ZRANGE', waiting(destination, priority), 0, 0, 'WITHSCORES')
            local due = tonumber(found[2])
            if due and (not first or due < first) then
                first = due
            end
        end
        if first then
            redis.call('ZADD', heads, first, destination)
        else
            redis.call('ZREM', heads, destination)
        end
    end
end

local function count(message, by)
    if message.place == 'quarantined' then
        redis.call('HINCRBY', shard, 'quarantined', by)
        return
    end
    redis.call('HINCRBY', shard, 'messages', by)
    if message.place == 'held' then
        redis.call('HINCRBY', shard, 'held', by)
    elseif message.place == 'waiting' and message.attempts ~= '0' then
        redis.call('HINCRBY', shard, 'deferred', by)
    end
end

-- The two doors: a message that is changed leaves its place and enters one.
local function leave(message)
    if message.place == 'waiting' then
        redis.call('ZREM', waiting(message.destination, message.priority), message.id)
        touched[message.destination] = true
    elseif message.place == 'leased' then
        redis.call('ZREM', leases, message.id)
    end
    count(message, -1)
end

local function enter(message, place)
    message.place = place
    if place == 'waiting' and message.is_held == '1' then
        message.place = 'held'
    end
    if message.place == 'waiting' then
        local key = waiting(message.destination, message.priority)
        redis.call('ZADD', key, message.due, message.id)
        touched[message.destination] = true
    elseif message.place == 'leased' then
        redis.call('ZADD', leases, message.lease_end, message.id)
    end
    redis.call('HSET', message_key(message.id), 'place', message.place)
    count(message, 1)
end

-- --- leases ------------------------------------------------------------------------

-- Later than any lease needs to end, and exact as a number of Lua.
local LATEST = 2 ^ 53

local function lease_end(duration)
    return math.min(now + duration, LATEST)
end

-- Leases a message that has left its place.
local function grant(message, owner, ends)
    message.lease_end = ends
    local token = redis.call('HINCRBY', shard, 'tokens', 1)
    redis.call('HSET', message_key(message.id), 'lease_owner', owner, 'token', token,
        'lease_end', ends)
    enter(message, 'leased')
    return token
end

local function forget_lease(message)
    redis.call('HDEL', message_key(message.id), 'lease_owner', 'token', 'lease_end')
end

-- So many run-out leases are put back by one call at most; the next goes on.
local ENDED_MAX = 1000

-- Puts back what was leased until now or before. Its token stays: a lease that
-- nobody else has taken still settles.
local function end_leases()
    local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, ENDED_MAX)
    for _, id in ipairs(ended) do
        local message = read(id)
        if message then
            leave(message)
            enter(message, 'waiting')
        else
            redis.call('ZREM', leases, id)
        end
    end
end

-- --- submissions -------------------------------------------------------------------

-- The ids of the messages of one destination, for pages in their order.
local function ids_of(destination)
    return ids .. ':' .. destination
end

local function submission_key(id)
    return base .. 'submission:' .. id
end

local function contents_key(submission)
    return base .. 'contents:' .. submission
end

local function take_submission()
    local submission = { id = take(), bytes = take(), upload = take(), parts = take_number() }
    submission.chunks, submission.messages = {}, {}
    if submission.upload == '' then
        for i = 1, submission.parts do
            submission.chunks[i] = take()
        end
    end
    for i = 1, take_number() do
        submission.messages[i] = { id = take(), destination = take(), priority = take(),
            due = take(), received = take(), attempts = take(), is_held = take(),
            record = take(), submission = submission.id }
    end
    return submission
end

-- Whether contents that were sent before are still there.
local function is_complete(submission)
    return submission.upload == '' or
        redis.call('LLEN', submission.upload) == submission.parts
end

local INCOMPLETE = 'SLIMTAUPLOAD contents that were sent before are gone'

local function is_stored(submission)
    if redis.call('EXISTS', submission_key(submission.id)) == 1 then
        return true
    end
    for _, message in ipairs(submission.messages) do
        if redis.call('EXISTS', message_key(message.id)) == 1 then
            return true
        end
    end
    return false
end

-- Inserts what is not there yet, and leases the first so many; gives their
-- leases, or nil if any of it was there.
local function insert(submission, leased, owner, ends)
    if is_stored(submission) then
        return nil
    end
    local contents = contents_key(submission.id)
    if submission.upload == '' then
        for _, chunk in ipairs(submission.chunks) do
            redis.call('RPUSH', contents, chunk)
        end
    else
        redis.call('RENAME', submission.upload, contents)
        redis.call('PERSIST', contents)
    end
    redis.call('HINCRBY', shard, 'bytes', submission.bytes)
    redis.call('HSET', submission_key(submission.id), 'bytes', submission.bytes)
    local granted = {}
    for i, message in ipairs(submission.messages) do
        redis.call('HSET', submission_key(submission.id), message.id, '')
        redis.call('HSET', message_key(message.id), 'submission', submission.id,
            'destination', message.destination, 'priority', message.priority,
            'due', message.due, 'received', message.received, 'attempts', message.attempts,
            'is_held', message.is_held, 'revision', 0, 'record', message.record)
        redis.call('ZADD', ids, 0, message.id)
        redis.call('ZADD', ids_of(message.destination), 0, message.id)
        redis.call('ZADD', received, message.received, message.id)
        if i <= leased then
            granted[i] = { message.id, grant(message, owner, ends), ends }
        else
            enter(message, 'waiting')
        end
    end
    return granted
end

-- Removes a message, and contents with the last that shares them.
local function remove(message)
    leave(message)
    redis.call('UNLINK', message_key(message.id))
    redis.call('ZREM', ids, message.id)
    redis.call('ZREM', ids_of(message.destination), message.id)
    redis.call('ZREM', received, message.id)
    local submission = submission_key(message.submission)
    redis.call('HDEL', submission, message.id)
    -- What is left is its size.
    if redis.call('HLEN', submission) == 1 then
        local bytes = tonumber(redis.call('HGET', submission, 'bytes'))
        -- Not a minus before it: minus zero is no number to Redis.
        redis.call('HINCRBY', shard, 'bytes', 0 - bytes)
        redis.call('UNLINK', submission, contents_key(message.submission))
    end
end

-- Writes a message anew that has left its place; what it was read as is stale.
local function rewrite(message, record)
    redis.call('HSET', message_key(message.id), 'due', message.due, 'attempts', message.attempts,
        'is_held', message.is_held, 'record', record)
    redis.call('HINCRBY', message_key(message.id), 'revision', 1)
end
