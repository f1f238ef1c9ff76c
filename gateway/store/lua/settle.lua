-- SETTLE: one call has ended; its reservation becomes a charge that Postgres does not have yet.
--
-- KEYS  1 r · 2 p · 3 x · 4..7 b of token, member, subscription, account
--       8.. h of each window that the call is under, then w of the scopes that have one, then the
--       outbox o where one is kept
-- ARGV  1 what is constant, packed: account, scopes, how long until the sweeper may take it (ms),
--         how long the outbox keeps it (ms; 0 = there is none), number of windows, then a WINDOW of
--         each
--       2 request id · 3 amount (nano-dollars) · 4 tokens
--       5 the request is given back (0) · stays counted (1) · VOID: given back, but only if it is
--         reserved (2)
--       6 event (text)
--
-- Replies  OK · ALREADY (nothing done)
--          · LATE (no such reservation here; the charge is recorded all the same)
--          · NONE (VOID only: no such reservation here. Nothing is recorded, and a RESERVE of this id
--            that is still on its way takes nothing: until the sweeper may take it, x knows the id)
--
-- Asks for no epoch: a charge is a record of its own, right in whatever state the store is, and
-- LOAD adds it to a book that does not exist yet. Windows are those of the RESERVE, in its order;
-- they are corrected in the bucket in which the call was counted.
--include formats
--include clock
--include burst
--include correct
local call = redis.call

local account, scopes, sweep_ms, outbox_ms, window_count, position = read('<Bc0Bc0ddB', ARGV[1])
local request_id, amount, now_ms = ARGV[2], tonumber(ARGV[3]), clock()
local member = account .. '|' .. request_id

local record = call('HGET', KEYS[1], request_id)
if ARGV[5] == '2' and not record then
  if call('HEXISTS', KEYS[2], request_id) == 1 then return 'ALREADY' end
  call('ZADD', KEYS[3], 'NX', now_ms + sweep_ms, member)
  return 'NONE'
end
local charge = write(SETTLED, amount, #scopes, scopes) .. ARGV[6]
if call('HSETNX', KEYS[2], request_id, charge) == 0 then return 'ALREADY' end
call('ZADD', KEYS[3], now_ms + sweep_ms, member)
if outbox_ms > 0 then
  local kept = string.format('%d', math.max(now_ms - outbox_ms, 0))
  call('XADD', KEYS[#KEYS], 'MINID', '~', kept, '*', 'id', request_id, 'account', account, 'event', ARGV[6])
end

local state = call('MGET', unpack(KEYS, 4, 7 + window_count))
local held, tokens, start, live, counted, bucket_at = 0, 0, 0, 0, 0, nil
if record then
  local _
  held, tokens, start, _, counted, bucket_at = read(RECORD, record)
  live = 1
  call('HDEL', KEYS[1], request_id)
end

local out, n = {}, 0
for i = 1, 4 do
  local bytes = state[i]
  if bytes then
    local granted, gver, used, pending, reserved, calls, version, loaded = read(BOOK, bytes)
    pending, reserved, calls = pending + amount, reserved - held, calls - live
    out[n + 1] = KEYS[i + 3]
    out[n + 2] = write(BOOK, granted, gver, used, pending, reserved, calls, version, loaded)
    n = n + 2
  end
end

for i = 1, record and window_count or 0 do
  local metric, kind, ring, id, first, second, limit, bucket, by, _
  _, metric, kind, ring, id, first, second, limit, position = read(WINDOW, ARGV[1], position)
  if i <= counted then bucket, bucket_at = read(BUCKET, record, bucket_at) end
  if metric > SHADOW then metric = metric - SHADOW end
  local of_call = metric == 1 and 1 or metric == 2 and tokens or held
  if metric == 1 then
    by = ARGV[5] == '1' and 0 or -1
  elseif metric == 2 then
    by = tonumber(ARGV[4]) - tokens
  else
    by = amount - held
  end
  local bytes = state[i + 4]
  if by ~= 0 and bytes then
    local head, closed =
      corrected(bytes, kind, first, second, limit, by, of_call, start, bucket, now_ms)
    if head then
      out[n + 1], out[n + 2] = KEYS[i + 7], head
      n = n + 2
      if closed then call('HINCRBY', KEYS[ring], string.format('%s|%d', id, closed), by) end
    end
  end
end

if n > 0 then call('MSET', unpack(out)) end
return record and 'OK' or 'LATE'
