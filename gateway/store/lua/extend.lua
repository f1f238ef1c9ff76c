-- EXTEND: a running call needs more than it holds; its reservation grows, or stays as it is.
--
-- KEYS  as RESERVE's: 1 r · 2 x · 3 e · 4..7 b of token, member, subscription, account
--       8.. h of each window that the call is under, then w of the scopes that have one
-- ARGV  1 as RESERVE's · 2 request id
--       3 amount (nano-dollars) · 4 tokens: what it is to hold in all, so that repeating it adds
--         nothing
--       5 0: all of it, or nothing · 1: as much of the amount as grants have left, whatever
--         windows say (the call has ended, and this is what it cost)
--
-- Replies, scope as in RESERVE:
--   OK amount                        what it holds now; its lease is renewed, too
--   EPOCH · PAUSE ms · LOAD scope    as RESERVE's
--   GONE                             no such reservation: another worker has taken it over
-- and the refusals QUOTA, HELD and WINDOW as RESERVE's; WINDOW's retry is when the call itself leaves
-- the window.
--
-- Asks for neither versions nor the catalog's generation: the call began under the caller's, and an
-- edit binds the next one. A limit in the shadow refuses nothing here either. Windows count a call
-- whole where it began, as SETTLE corrects it there.
--include formats
--include clock
--include burst
--include correct
local call = redis.call
local STATIC = '<c40dBdBc0Bc0ddddddddB'
local RUN_ID, LEASE_MS, ACCOUNT, WINDOW_COUNT, POSITION = 1, 4, 5, 15, 16

local now_ms = clock()
local static = { read(STATIC, ARGV[1]) }
local run_id, window_count = static[RUN_ID], static[WINDOW_COUNT]
local state = call('MGET', unpack(KEYS, 3, 7 + window_count))

if not state[1] then return { 'EPOCH' } end
local opened, pause_until = read(EPOCH, state[1])
if opened ~= run_id then return { 'EPOCH' } end
if now_ms < pause_until then return { 'PAUSE', pause_until - now_ms } end
local record = call('HGET', KEYS[1], ARGV[2])
if not record then return { 'GONE' } end

local held, tokens_held, started, _, counted, bucket_at = read(RECORD, record)
local more, more_tokens = tonumber(ARGV[3]) - held, tonumber(ARGV[4]) - tokens_held
local in_full = ARGV[5] == '0'
if more < 0 then more = 0 end
if more_tokens < 0 then more_tokens = 0 end

local books, refusal = {}, nil
for i = 1, 4 do
  if not state[i + 1] then return { 'LOAD', i - 1 } end
  local book = { read(BOOK, state[i + 1]) }
  local granted, _, used, pending, reserved, _, _, loaded = unpack(book)
  if loaded ~= run_id then return { 'LOAD', i - 1 } end
  books[i] = book
  if granted ~= UNCAPPED then
    local left = granted - used - pending - reserved
    if left < more then
      if in_full and more > 0 and not refusal then
        local rule = left + reserved - held < more and 'QUOTA' or 'HELD'
        refusal = { rule, i - 1, used + pending, reserved, granted, left }
      end
      if not in_full then more = left > 0 and left or 0 end
    end
  end
end
if refusal then return refusal end

-- What a window holds now: RESERVE moves rings on, and this call may be the first to come for a while.
local function level_of(head, kind, first, second, limit, ring, id)
  local total, oldest, current, _, _, part = read(kind == 2 and BURST or HEAD, head)
  if kind == 2 then return (level_at(total, part, current, now_ms, limit, second)) end
  local fields = {}
  if kind == 0 then
    local still = (now_ms - now_ms % first) / first - second
    for b = oldest, math.min(still, current) - 1 do
      fields[#fields + 1] = string.format('%s|%d', id, b)
    end
  end
  local past = #fields > 0 and call('HMGET', KEYS[ring], unpack(fields)) or {}
  for i = 1, #past do total = total - (past[i] or 0) end
  return total
end

local out, closed, position, tag = {}, {}, static[POSITION], nil
if window_count > 0 then tag = tag_of(run_id) end
for i = 1, window_count do
  local scope, metric, kind, ring, id, first, second, limit, bucket
  scope, metric, kind, ring, id, first, second, limit, position = read(WINDOW, ARGV[1], position)
  if i <= counted then bucket, bucket_at = read(BUCKET, record, bucket_at) end
  local cost, of_call, binds = 0, 0, in_full
  if metric > SHADOW then
    metric, binds = metric - SHADOW, false
  end
  if metric == 2 then
    cost, of_call = more_tokens, tokens_held
  elseif metric == 3 then
    cost, of_call = more, held
  end
  local head = state[i + 5]
  if not head or select(5, read(HEAD, head)) ~= tag then return { 'LOAD', scope } end
  local grown, in_closed
  if cost > 0 then
    grown, in_closed =
      corrected(head, kind, first, second, limit, cost, of_call, started, bucket, now_ms)
  end
  if grown then
    local room = kind == 2 and second or limit
    if binds then
      local counts = level_of(head, kind, first, second, limit, ring, id)
      if counts + cost > room then
        local leaves = second
        if kind == 0 then
          leaves = ((bucket or (started - started % first) / first) + second + 1) * first
        elseif kind == 2 then
          leaves = now_ms + refill_ms(limit, counts + cost - room, 0)
        end
        return { 'WINDOW', scope, id, counts, room, math.max(0, leaves - now_ms) }
      end
    end
    if in_closed then
      closed[#closed + 1] = { KEYS[ring], string.format('%s|%d', id, in_closed), cost }
    end
    out[#out + 1], out[#out + 2] = KEYS[i + 7], grown
  end
end

call('ZADD', KEYS[2], 'XX', 'GT', now_ms + static[LEASE_MS], static[ACCOUNT] .. '|' .. ARGV[2])
if more > 0 or more_tokens > 0 then
  local grown = write('<dd', held + more, tokens_held + more_tokens)
  call('HSET', KEYS[1], ARGV[2], grown .. string.sub(record, #grown + 1))
  for i = 1, 4 do
    local granted, gver, used, pending, reserved, live, version, loaded = unpack(books[i])
    out[#out + 1] = KEYS[i + 3]
    out[#out + 1] =
      write(BOOK, granted, gver, used, pending, reserved + more, live, version, loaded)
  end
  for i = 1, #closed do call('HINCRBY', unpack(closed[i])) end
  call('MSET', unpack(out))
end
return { 'OK', held + more }
