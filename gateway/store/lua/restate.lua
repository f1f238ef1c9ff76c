-- RESTATE: a worker has these charges of one account, and Postgres does not; the store was lost.
--
-- KEYS  1 r · 2 p · 3 x · 4.. b of every scope that the charges name
-- ARGV  1 account · 2 how long until the sweeper may take them (ms)
--       3.. per charge, each once: request id, record (SETTLED of include/formats.lua)
--
-- Replies  how many were not known
--
-- Idempotent, and works in any state of the store: where a book is missing, LOAD will add the records
-- up. A reservation of the same id had its settlement lost; it is dropped. Windows are not touched:
-- those are rebuilt by whoever rebuilds windows.
--include clock
--include formats
local call = redis.call

local account, sweep_at = ARGV[1], clock() + tonumber(ARGV[2])
local ids = {}
for i = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
if #ids == 0 then return 0 end
local known, held = call('HMGET', KEYS[2], unpack(ids)), call('HMGET', KEYS[1], unpack(ids))

-- What the charges add to each set of scopes: {pending, reserved, live}.
local added, sets, settled, due, ended = {}, {}, {}, {}, {}
local function add(scopes, pending, reserved, live)
  local sum = added[scopes]
  if not sum then
    sum = { 0, 0, 0 }
    added[scopes], sets[#sets + 1] = sum, scopes
  end
  sum[1], sum[2], sum[3] = sum[1] + pending, sum[2] + reserved, sum[3] + live
end
for i = 1, #ids do
  local n = #due
  if not known[i] then
    local record = ARGV[2 * i + 2]
    local amount, scopes = read(SETTLED, record)
    settled[n + 1], settled[n + 2] = ids[i], record
    due[n + 1], due[n + 2] = sweep_at, account .. '|' .. ids[i]
    add(scopes, amount, 0, 0)
  end
  if held[i] then
    local amount, _, _, scopes = read(RECORD, held[i])
    ended[#ended + 1] = ids[i]
    add(scopes, 0, -amount, -1)
  end
end
if #due > 0 then
  call('HSET', KEYS[2], unpack(settled))
  call('ZADD', KEYS[3], unpack(due))
end
if #ended > 0 then call('HDEL', KEYS[1], unpack(ended)) end

local of_scope = {}
for i = 1, #sets do
  local sum = added[sets[i]]
  for scope in string.gmatch(sets[i], '%S+') do
    local total = of_scope[scope] or { 0, 0, 0 }
    for j = 1, 3 do total[j] = total[j] + sum[j] end
    of_scope[scope] = total
  end
end
local out = {}
for i = 4, #KEYS do
  local sum, bytes = of_scope[string.sub(KEYS[i], 12)], call('GET', KEYS[i]) -- behind "q:{sNNN}:b:"
  if sum and bytes then
    local granted, gver, used, pending, reserved, live, version, loaded = read(BOOK, bytes)
    pending, reserved, live = pending + sum[1], reserved + sum[2], live + sum[3]
    out[#out + 1] = KEYS[i]
    out[#out + 1] = write(BOOK, granted, gver, used, pending, reserved, live, version, loaded)
  end
end
if #out > 0 then call('MSET', unpack(out)) end
return #due / 2
