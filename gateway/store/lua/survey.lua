-- SURVEY: what has to be known to make windows anew. Takes and changes nothing.
--
-- KEYS  1 r · 2 p · 3.. h of windows
-- ARGV  1 run id (40 characters)
--
-- Replies  now (ms), the numbers (from 0) of the windows without a head of this run, and where there
--          are any, r and p as flat lists of request id and record
--
-- All at one instant, so that a call which is settled meanwhile is in r or in p. What Postgres is
-- asked for comes after it, without these ids: each call is then counted exactly once.
--include clock
--include formats
local call = redis.call

local tag, missing = tag_of(ARGV[1]), {}
local heads = call('MGET', unpack(KEYS, 3))
for i = 1, #heads do
  if not heads[i] or select(5, read(HEAD, heads[i])) ~= tag then missing[#missing + 1] = i - 1 end
end
if #missing == 0 then return { clock(), missing, {}, {} } end
return { clock(), missing, call('HGETALL', KEYS[1]), call('HGETALL', KEYS[2]) }
