-- ANNOUNCE: a worker holds these reservations of one account; renew their leases, and re-create
-- what was lost.
--
-- KEYS  1 r · 2 p · 3 x · 4.. b of every scope that the reservations name
-- ARGV  1 account · 2 lease (ms)
--       3.. per reservation, each once: request id, record (RECORD of include/formats.lua)
--
-- Replies  renewed, re-created, already settled
--
-- Works in any state of the store and without Postgres: where a book is missing, LOAD will add the
-- records up. A record that is re-created names no bucket: LOAD counts it where its start lies, and
-- SETTLE finds it there. A worker's clock may not put that into the future: its window
-- would stand still until then.
--include clock
--include formats
local call = redis.call

local START, START_END = 17, 24 -- its bytes in a RECORD

local account, now_ms = ARGV[1], clock()
local lease_end = now_ms + tonumber(ARGV[2])
local members = {}
for i = 3, #ARGV, 2 do members[#members + 1] = account .. '|' .. ARGV[i] end
if #members == 0 then return { 0, 0, 0 } end
local known = call('ZMSCORE', KEYS[3], unpack(members))

local renewed, created, settled, lease, more = 0, 0, 0, {}, {}
for i = 1, #members do
  local request_id, record = ARGV[2 * i + 1], ARGV[2 * i + 2]
  if known[i] and call('HEXISTS', KEYS[2], request_id) == 1 then
    settled = settled + 1
  else
    lease[#lease + 1], lease[#lease + 2] = lease_end, members[i]
    if known[i] then
      renewed = renewed + 1
    else
      created = created + 1
      local amount, _, start, scopes = read(RECORD, record)
      if start > now_ms then
        record = string.sub(record, 1, START - 1)
          .. write('<d', now_ms)
          .. string.sub(record, START_END + 1)
      end
      call('HSET', KEYS[1], request_id, record)
      for scope in string.gmatch(scopes, '%S+') do
        local sum = more[scope] or { 0, 0 }
        sum[1], sum[2] = sum[1] + amount, sum[2] + 1
        more[scope] = sum
      end
    end
  end
end
if #lease > 0 then call('ZADD', KEYS[3], 'GT', unpack(lease)) end

if created > 0 then
  local out = {}
  for i = 4, #KEYS do
    local sum, bytes = more[string.sub(KEYS[i], 12)], call('GET', KEYS[i]) -- behind "q:{sNNN}:b:"
    if sum and bytes then
      local granted, gver, used, pending, reserved, live, version, loaded = read(BOOK, bytes)
      out[#out + 1] = KEYS[i]
      reserved, live = reserved + sum[1], live + sum[2]
      out[#out + 1] = write(BOOK, granted, gver, used, pending, reserved, live, version, loaded)
    end
  end
  if #out > 0 then call('MSET', unpack(out)) end
end
return { renewed, created, settled }
