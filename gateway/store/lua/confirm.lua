-- CONFIRM: Postgres has these ids; these are its rows of the scopes that they were charged to.
--
-- KEYS  1 e · 2 r · 3 p · 4 x · 5.. b of the scopes whose rows are given
-- ARGV  1 account · 2 the rows in the order of the keys, packed (ROW of include/merge.lua)
--       3.. request ids, each once
--
-- Replies  LOAD scope (an id was charged to a scope that has no book and whose row is not given:
--          nothing done) · the number of ids that were dropped
--
-- Order-free and idempotent, also without ids. An id leaves r, p and x in the same step in which
-- `used` rises to a total that contains it, so a charge is counted at every instant. For that
-- reason a missing book is created here: a LOAD of an older row may be on its way. RESERVE does not
-- believe it before a LOAD: the rows may be from before a loss.
--
-- One account has many tokens, members and groups, so each record names the scopes that it was
-- counted in. The books of those which are not among KEYS are the exception to "all keys are
-- declared"; they share the hash tag.
--include formats
--include merge
local call = redis.call

local account, rows = ARGV[1], ARGV[2]
local ids, members = {}, {}
for i = 3, #ARGV do
  ids[i - 2] = ARGV[i]
  members[i - 2] = account .. '|' .. ARGV[i]
end

-- What the ids take from each set of scopes: {pending, reserved, live}.
local taken, dropped = {}, 0
local function take(scopes, pending, reserved, live)
  local sum = taken[scopes]
  if not sum then
    sum = { 0, 0, 0 }
    taken[scopes] = sum
  end
  sum[1], sum[2], sum[3] = sum[1] + pending, sum[2] + reserved, sum[3] + live
  dropped = dropped + 1
end
local unsettled = {}
if #ids > 0 then
  local settled = call('HMGET', KEYS[3], unpack(ids))
  for i = 1, #ids do
    if settled[i] then
      local amount, scopes = read(SETTLED, settled[i])
      take(scopes, amount, 0, 0)
    else
      unsettled[#unsettled + 1] = ids[i]
    end
  end
  if #unsettled > 0 then -- a settle that was lost, or the reaper's estimate
    local held = call('HMGET', KEYS[2], unpack(unsettled))
    for i = 1, #unsettled do
      if held[i] then
        local amount, _, _, scopes = read(RECORD, held[i])
        take(scopes, 0, amount, 1)
      end
    end
  end
end

local keys, less, given = {}, {}, #KEYS - 4
for i = 1, given do
  keys[i] = KEYS[i + 4]
  less[keys[i]] = { 0, 0, 0 }
end
local book_prefix = string.sub(KEYS[1], 1, TAG_BYTES) .. 'b:'
for scopes, sum in pairs(taken) do
  for scope in string.gmatch(scopes, '%S+') do
    local key = book_prefix .. scope
    local of_book = less[key]
    if not of_book then
      of_book = { 0, 0, 0 }
      less[key] = of_book
      keys[#keys + 1] = key
    end
    for j = 1, 3 do of_book[j] = of_book[j] + sum[j] end
  end
end
if #keys == 0 then return 0 end

local state = call('MGET', unpack(keys))
for i = given + 1, #keys do
  if not state[i] then return { 'LOAD', scope_of(keys[i]) } end
end

if dropped > 0 then
  call('HDEL', KEYS[3], unpack(ids))
  if #unsettled > 0 then call('HDEL', KEYS[2], unpack(unsettled)) end
  call('ZREM', KEYS[4], unpack(members))
end

local lacking = {}
for i = 1, given do
  if not state[i] then lacking[#lacking + 1] = scope_of(keys[i]) end
end
local sums = sums_of_records(KEYS[2], KEYS[3], lacking)
local out = {}
for i = 1, #keys do
  local key, bytes, book = keys[i], state[i], nil
  if bytes then
    local minus = less[key]
    book = { read(BOOK, bytes) }
    book[PENDING], book[RESERVED], book[LIVE] =
      book[PENDING] - minus[1], book[RESERVED] - minus[2], book[LIVE] - minus[3]
  end
  if i <= given then
    local used, granted, gver, version = read(ROW, rows, (i - 1) * ROW_BYTES + 1)
    if not book then
      book = new_book(used, granted, gver, version, sums[scope_of(key)], NOT_LOADED)
    end
    merge_row(book, used, granted, gver, version)
  end
  out[2 * i - 1], out[2 * i] = key, book_bytes(book)
end
call('MSET', unpack(out))
return dropped
