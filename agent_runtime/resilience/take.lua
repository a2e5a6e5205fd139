-- Counts one request in every window of every quota, or in none of them.
--
-- KEYS: a list of times for each quota, newest first; then the key of a token, if ARGV[1] is not 0.
-- ARGV: how long a token is known, in milliseconds; then for each quota the number of its windows, and for each window
--   its limit and its length in microseconds.
-- Answer: whether the request is allowed, then for each window: requests in it, microseconds until its oldest leaves it,
--   microseconds until another one has room.
local token_life = tonumber(ARGV[1])
local quotas = token_life > 0 and #KEYS - 1 or #KEYS
local known = token_life > 0 and redis.call('EXISTS', KEYS[#KEYS]) == 1

-- The server's clock: those of the replicas differ. Should it be set back, time stands still for a while.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for number = 1, quotas do
    now = math.max(now, tonumber(redis.call('LINDEX', KEYS[number], 0) or 0))
end

local function used_since(key, start)
    local low, high = 0, redis.call('LLEN', key)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if tonumber(redis.call('LINDEX', key, middle)) > start then low = middle + 1 else high = middle end
    end
    return low
end

local function left(key, position, length)
    return tonumber(redis.call('LINDEX', key, position)) + length - now
end

local answer = {1}
local most, longest = {}, {}
local at = 2
for number = 1, quotas do
    local key = KEYS[number]
    most[number], longest[number] = 0, 0
    for _ = 1, ARGV[at] do
        local limit, length = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
        at = at + 2
        most[number] = math.max(most[number], limit)
        longest[number] = math.max(longest[number], length)
        local used = used_since(key, now - length)
        table.insert(answer, used)
        table.insert(answer, used > 0 and left(key, used - 1, length) or length)
        table.insert(answer, used >= limit and left(key, limit - 1, length) or 0)
        if used >= limit and not known then answer[1] = 0 end
    end
    at = at + 1
end
if known or answer[1] == 0 then return answer end

for number = 1, quotas do
    redis.call('LPUSH', KEYS[number], now)
    redis.call('LTRIM', KEYS[number], 0, most[number] - 1)
    redis.call('PEXPIRE', KEYS[number], math.ceil(longest[number] / 1000))
end
if token_life > 0 then redis.call('SET', KEYS[#KEYS], 1, 'PX', token_life) end
for position = 2, #answer, 3 do answer[position] = answer[position] + 1 end
return answer
