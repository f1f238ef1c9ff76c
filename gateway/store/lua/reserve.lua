-- RESERVE: take money, counts and a place for one call from all four scopes, or take nothing.
--
-- KEYS  1 r · 2 x · 3 e · 4..7 b of token, member, subscription, account
--       8.. h of each window that the call is under, then w of the scopes that have one
-- ARGV  1 what is constant for token and model, packed:
--           run id, catalog generation, capped (0|1), lease (ms), account, scopes,
--           4 × (version, concurrency limit; 0 = none), number of windows, then a WINDOW of each
--       2 request id · 3 amount (nano-dollars) · 4 tokens · 5 dry (0|1, 2 = look)
--       6 detail (opaque, for the reaper)
--
-- Replies, scope as 0..3 in the order of KEYS, times in ms:
--   OK free [limit remaining reset, limit remaining reset, refusal ...]
--             free: of the tightest grant, '' where there is none; then the tightest window of
--             requests and of tokens, each '' '' '' where there is none; then a TOOBIG or WINDOW for
--             each limit in the shadow that would have refused, where there are any
--   EPOCH                  the shard is not open for this run of the store
--   PAUSE ms               the store was lost; capped calls wait
--   GEN generation         the caller's catalog is older
--   LOAD scope             no book, or one older than the caller's row; or a window without a head
--                          of this run: LOAD, then again
--   STALE scope            the caller's row is older: read it again
--   PERIOD now             a calendar window's period is not the one that `now` lies in
--   DUP · DONE             this id is reserved · settled
-- and the refusals, the most lasting first; a WINDOW's retry is exact, because nothing else refuses
-- and of several windows the last to open is told:
--   QUOTA scope used held limit free too little is left even if nothing were held
--   TOOBIG scope window limit cost   the call alone is above the limit
--   HELD scope used held limit free  what is held makes it too little
--             free: of the tightest grant, as in OK, with this call's amount taken: below zero
--   CONC scope live limit
--   WINDOW scope window used limit retry    limit: the burst where there is one, TOOBIG likewise
-- A limit in the shadow refuses nothing. What it would have refused is not counted in its window, as
-- if it had been: the window tells the same of the next call as that of a limit that binds.
--
-- `dry` answers the same and takes nothing (DUP and DONE aside: a dry call's id means nothing).
-- A look takes nothing, too, and where something was decided answers { OK free | refusal, keys and
-- values [, refusals of limits in the shadow] }: the four books and the head of each window as they
-- would be with this call.
--
-- A redis.call costs about as much as all arithmetic of a scope, so there are five on the way to
-- OK: TIME, one MGET, ZADD NX (which tells a known id, too), HSET, one MSET. Tables and closures
-- cost an allocation each, so the way to OK has few: values stand in locals, rare work in place.
--include formats
--include clock
--include burst
local call = redis.call
local STATIC = '<c40dBdBc0Bc0ddddddddB'
local RUN_ID, GENERATION, CAPPED, LEASE_MS, ACCOUNT, SCOPES = 1, 2, 3, 4, 5, 6
local VERSIONS, WINDOW_COUNT, POSITION = 5, 15, 16 -- of scope i: at VERSIONS + 2i, then places
local QUOTA, TOOBIG, HELD, CONC, WAIT = 1, 2, 3, 4, 5 -- ranks: the lowest is told

local now_ms = clock()
local static = { read(STATIC, ARGV[1]) }
local run_id, generation, window_count = static[RUN_ID], static[GENERATION], static[WINDOW_COUNT]
local state = call('MGET', unpack(KEYS, 3, 7 + window_count))

if not state[1] then return { 'EPOCH' } end
local opened, pause_until, newest, opened_at = read(EPOCH, state[1])
if opened ~= run_id then return { 'EPOCH' } end
if static[CAPPED] == 1 and now_ms < pause_until then return { 'PAUSE', pause_until - now_ms } end
if generation < newest then return { 'GEN', newest } end

-- Books and windows are changed in memory; `out` and `plan` are written when all have agreed.
local request_id, amount, tokens = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local rank, refusal, free, out = 9, nil, '', {}
for i = 1, 4 do
  local bytes = state[i + 1]
  if not bytes then return { 'LOAD', i - 1 } end
  local granted, gver, used, pending, reserved, live, version, loaded = read(BOOK, bytes)
  local wanted, places = static[VERSIONS + 2 * i], static[VERSIONS + 2 * i + 1]
  if loaded ~= run_id or version < wanted then return { 'LOAD', i - 1 } end
  if version > wanted then return { 'STALE', i - 1 } end
  if granted ~= UNCAPPED then
    local unheld = granted - used - pending - amount
    local left = unheld - reserved
    if unheld < 0 then
      if QUOTA < rank then
        rank, refusal = QUOTA, { 'QUOTA', i - 1, used + pending, reserved, granted }
      end
    elseif left < 0 and HELD < rank then
      rank, refusal = HELD, { 'HELD', i - 1, used + pending, reserved, granted }
    end
    if free == '' or left < free then free = left end
  end
  if places > 0 and live >= places and CONC < rank then
    rank, refusal = CONC, { 'CONC', i - 1, live, places }
  end
  out[2 * i - 1] = KEYS[i + 3]
  reserved, live = reserved + amount, live + 1
  out[2 * i] = write(BOOK, granted, gver, used, pending, reserved, live, version, run_id)
end

if rank == QUOTA or rank == HELD then refusal[6] = free end

local tag, counted, plan, guard, position, retry_ms = nil, '', nil, nil, static[POSITION], -1
local shadows
if window_count > 0 then tag = tag_of(run_id) end
local request_limit, request_left, request_reset = '', '', ''
local token_limit, token_left, token_reset = '', '', ''
for i = 1, window_count do
  local scope, metric, kind, ring, id, first, second, limit
  scope, metric, kind, ring, id, first, second, limit, position = read(WINDOW, ARGV[1], position)
  local in_shadow = metric > SHADOW
  if in_shadow then metric = metric - SHADOW end
  local cost = metric == 1 and 1 or metric == 2 and tokens or amount
  local bytes, bucket, past, room = state[i + 5], first, second, limit
  local total, oldest, current, sum, made, part, closing, closed
  local planned = plan and #plan or 0
  if bytes then total, oldest, current, sum, made = read(HEAD, bytes) end
  if kind == 1 then -- before LOAD, which would make a period that is over
    local at = made == tag and current > now_ms and current or now_ms
    if at < first or at >= second then return { 'PERIOD', at } end
  end
  if made ~= tag then return { 'LOAD', scope } end

  if kind == 0 then
    bucket = (now_ms - now_ms % first) / first
    if current > bucket then bucket = current end
    past = (bucket + second + 1) * first
    if current < bucket then
      -- Move the ring on: close the current bucket, let go of those that no longer overlap.
      plan = plan or {}
      local still = bucket - second
      if sum ~= 0 then
        if current >= still then
          closing, closed = current, sum
          plan[#plan + 1] = { 'HSET', KEYS[ring], string.format('%s|%d', id, current), sum }
        else
          total = total - sum
        end
        sum = 0
      end
      local fields, gone = {}, { 'HDEL', KEYS[ring] }
      for b = oldest, math.min(still, current) - 1 do
        fields[#fields + 1] = string.format('%s|%d', id, b)
      end
      local sums = #fields > 0 and call('HMGET', KEYS[ring], unpack(fields))
      for j = 1, #fields do
        if sums[j] then
          total = total - sums[j]
          gone[#gone + 1] = fields[j]
        end
      end
      if #gone > 2 then plan[#plan + 1] = gone end
      oldest = math.max(oldest, still)
    end
  elseif kind == 1 then
    if current ~= bucket then total, oldest, sum = 0, bucket, 0 end
  else
    part = select(6, read(BURST, bytes))
    total, part = level_at(total, part, current, now_ms, limit, second)
    room = second
    if now_ms < current then
      guard = guard or {}
      guard[#guard + 1] = KEYS[i + 7]
      guard[#guard + 1] = write(BURST, total, oldest, now_ms, sum, tag, part)
    end
  end

  local counts, shadow = total + cost, nil
  if cost > room then
    if in_shadow then
      shadow = { 'TOOBIG', scope, id, room, cost }
    elseif TOOBIG < rank then
      rank, refusal = TOOBIG, { 'TOOBIG', scope, id, room, cost }
    end
  elseif counts > room and (in_shadow or rank >= WAIT) then
    local open_at = past
    if kind == 2 then
      open_at = now_ms + refill_ms(limit, counts - room, part)
    elseif kind == 0 and oldest < bucket then
      -- Which bucket has to leave for this call to fit? `closing` is not in the hash yet.
      local excess, fields = counts - limit, {}
      local last = closing or math.min(current, bucket - 1)
      for b = oldest, last do fields[#fields + 1] = string.format('%s|%d', id, b) end
      local sums = #fields > 0 and call('HMGET', KEYS[ring], unpack(fields))
      for j = 1, #fields do
        local b = oldest + j - 1
        excess = excess - (b == closing and closed or sums[j] or 0)
        if excess <= 0 then
          open_at = (b + second + 1) * first
          break
        end
      end
    end
    if in_shadow then
      shadow = { 'WINDOW', scope, id, total, room, open_at - now_ms }
    elseif open_at - now_ms > retry_ms then
      retry_ms = open_at - now_ms
      rank, refusal = WAIT, { 'WINDOW', scope, id, total, room, retry_ms }
    end
  end

  local mark = bucket
  if shadow then
    shadows = shadows or {}
    shadows[#shadows + 1] = shadow
    cost, counts, mark = 0, total, -1 - tag
  elseif kind == 2 then
    mark = counts + sum
  end

  out[7 + 2 * i] = KEYS[i + 7]
  if kind == 2 then -- oldest, sum: when the head was made, what was given back
    if not refusal then past = now_ms + refill_ms(limit, counts, part) end
    out[8 + 2 * i] = write(BURST, counts, oldest, now_ms, sum, tag, part)
  else
    out[8 + 2 * i] = write(HEAD, counts, oldest, bucket, sum + cost, tag)
  end
  counted = counted .. write(BUCKET, mark)
  if shadow and ARGV[5] == '0' then -- its window stays as a refusal would leave it
    for j = plan and #plan or 0, planned + 1, -1 do plan[j] = nil end
    if kind ~= 2 or now_ms >= current then out[8 + 2 * i] = bytes end
  end
  local left = room - counts
  local told = in_shadow and 0 or metric -- callers are told of what binds them
  if told == 1 and (request_left == '' or left < request_left) then
    request_limit, request_left, request_reset = room, left, past - now_ms
  elseif told == 2 and (token_left == '' or left < token_left) then
    token_limit, token_left, token_reset = room, left, counts > 0 and past - now_ms or 0
  end
end

if ARGV[5] == '0' then
  -- A repeated call must not be refused because of its own first arrival.
  local member = static[ACCOUNT] .. '|' .. request_id
  if refusal then
    if not call('ZSCORE', KEYS[2], member) then
      -- Else a burst that the clock went back over would be full anew with each refusal.
      if guard then call('MSET', unpack(guard)) end
      return refusal
    end
    return { call('HEXISTS', KEYS[1], request_id) == 1 and 'DUP' or 'DONE' }
  end
  if call('ZADD', KEYS[2], 'NX', now_ms + static[LEASE_MS], member) == 0 then
    return { call('HEXISTS', KEYS[1], request_id) == 1 and 'DUP' or 'DONE' }
  end
  local scopes = static[SCOPES]
  local record = write(RECORD, amount, tokens, now_ms, #scopes, scopes, window_count)
  call('HSET', KEYS[1], request_id, record .. counted .. ARGV[6])
  if generation > newest then -- the shard learns of a newer catalog from whoever has it
    out[#out + 1] = KEYS[3]
    out[#out + 1] = write(EPOCH, opened, pause_until, generation, opened_at)
  end
  if plan then
    for i = 1, #plan do call(unpack(plan[i])) end
  end
  call('MSET', unpack(out))
elseif ARGV[5] == '2' then
  return { refusal or { 'OK', free }, out, shadows }
elseif refusal then
  return refusal
end

if window_count == 0 then return { 'OK', free } end
local reply = {
  'OK', free, request_limit, request_left, request_reset, token_limit, token_left, token_reset,
}
for i = 1, shadows and #shadows or 0 do reply[8 + i] = shadows[i] end
return reply
