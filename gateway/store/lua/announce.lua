-- ANNOUNCE: a worker holds these reservations of one account; renew their leases, and re-create
-- what was lost with the store.
--
-- KEYS  1 r · 2 p · 3 x · 4 e · 5.. b of every scope that the reservations name
-- ARGV  1 account · 2 lease (ms)
--       3 run id, and a time (ms) in it: since then the worker has announced everything that it held
--         when it did; '' where it has not. Shards of one loss are opened one after the other
--       4.. per reservation, each once: request id, whether the store ever said that it has it (0|1),
--           record (RECORD of include/formats.lua)
--
-- Replies  renewed, re-created, already settled, then the ids that are gone
--
-- One that holds less than the worker says is raised to that. What is missing was lost, and is made anew: in another opening, or where the store never said that
-- it has it. Else it is gone: in an opening that had it, only the reaper can have taken it over.
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
local epoch, ids = call('GET', KEYS[4]), {}
local is_same = false
if epoch and #ARGV[3] > 0 then
  local run_id, told_at = read('<c40d', ARGV[3])
  local opened, _, _, opened_at = read(EPOCH, epoch)
  is_same = opened == run_id and opened_at <= told_at
end
for i = 4, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
if #ids == 0 then return { 0, 0, 0 } end
local known = call('HMGET', KEYS[1], unpack(ids))

local renewed, created, lease, more, reply = 0, 0, {}, {}, { 0, 0, 0 }
local function add(scopes, amount, live)
  for scope in string.gmatch(scopes, '%S+') do
    local sum = more[scope] or { 0, 0 }
    sum[1], sum[2] = sum[1] + amount, sum[2] + live
    more[scope] = sum
  end
end
for i = 1, #ids do
  local request_id = ids[i]
  local is_held = known[i]
  if is_held then
    renewed = renewed + 1
    -- A store that was rolled back knows less of a call that has grown.
    local held, tokens_held, _, scopes = read(RECORD, known[i])
    local amount, tokens = read(RECORD, ARGV[3 * i + 3])
    if amount > held or tokens > tokens_held then
      local grown = write('<dd', math.max(amount, held), math.max(tokens, tokens_held))
      call('HSET', KEYS[1], request_id, grown .. string.sub(known[i], #grown + 1))
      add(scopes, math.max(0, amount - held), 0)
    end
  elseif call('HEXISTS', KEYS[2], request_id) == 1 then
    reply[3] = reply[3] + 1
  elseif is_same and ARGV[3 * i + 2] == '1' then
    reply[#reply + 1] = request_id
  else
    local record = ARGV[3 * i + 3]
    is_held, created = true, created + 1
    local amount, _, start, scopes = read(RECORD, record)
    if start > now_ms then
      record = string.sub(record, 1, START - 1)
        .. write('<d', now_ms)
        .. string.sub(record, START_END + 1)
    end
    call('HSET', KEYS[1], request_id, record)
    add(scopes, amount, 1)
  end
  if is_held then
    lease[#lease + 1], lease[#lease + 2] = lease_end, account .. '|' .. request_id
  end
end
if #lease > 0 then call('ZADD', KEYS[3], 'GT', unpack(lease)) end

if next(more) then
  local out = {}
  for i = 5, #KEYS do
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
reply[1], reply[2] = renewed, created
return reply
