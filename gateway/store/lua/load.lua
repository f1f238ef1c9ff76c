-- LOAD: create or merge books of one account from rows of Postgres, and make windows anew.
--
-- KEYS  1 e · 2 r · 3 p · 4.. b of the scopes, then h of each window, then w of the scopes that
--       have one
-- ARGV  1 the opening (run id, opened at) in which the rows were read; '' where that is not known
--       2 the rows in the order of the keys, packed one behind the other (ROW of include/merge.lua)
--       3 number of windows, then a WINDOW of each, packed; absent without windows; '' ahead of
--         need: books that are current are left alone
--       4.. per window what it holds, packed: bucket and sum, any number of times; where there is
--         a burst, the start (ms) of a call that runs and its units, and 0 and the units of others
--
-- Replies  EPOCH (the shard is not open, or was opened anew since the rows were read: nothing done)
--          · the number of books made new or taken over from an earlier run of the store
--
-- Only rows that were read in this opening make a book current, so that RESERVE believes it: those
-- from before a loss lack what was posted until then, and nothing else would ever tell. Others are
-- merged. So is the row of an edit, whose version keeps a LOAD of an older one from bringing that
-- back. Heads of this run of the store are left alone: what they count is newer.
--include formats
--include clock
--include merge
local call = redis.call
local PAIR, PAIR_BYTES = '<dd', 16

local epoch = call('GET', KEYS[1])
if not epoch then return 'EPOCH' end
local is_current = ARGV[1] ~= ''
if is_current and ARGV[1] ~= opening_of(epoch) then return 'EPOCH' end
local run_id = read(EPOCH, epoch)
local loaded = is_current and run_id or NOT_LOADED
local is_ahead = ARGV[3] == ''

local out, lacking, books = {}, {}, {}
local last_book = 3 + #ARGV[2] / ROW_BYTES
for i = 4, last_book do
  local bytes = call('GET', KEYS[i])
  books[i] = bytes and { read(BOOK, bytes) }
  if not books[i] or (is_current and books[i][LOADED] ~= run_id) then
    lacking[#lacking + 1] = scope_of(KEYS[i])
  end
end
local sums = sums_of_records(KEYS[2], KEYS[3], lacking)
for i = 4, last_book do
  local used, granted, gver, version = read(ROW, ARGV[2], (i - 4) * ROW_BYTES + 1)
  local book, sum = books[i], sums[scope_of(KEYS[i])]
  if sum then
    if book then
      book[PENDING], book[RESERVED], book[LIVE], book[LOADED] = sum[1], sum[2], sum[3], loaded
    else
      book = new_book(used, granted, gver, version, sum, loaded)
    end
  end
  if sum or not is_ahead then
    merge_row(book, used, granted, gver, version)
    out[#out + 1] = KEYS[i]
    out[#out + 1] = book_bytes(book)
  end
end

-- The fields of a window in its scope's w, from an earlier run of the store.
local function forget(ring_key, id)
  local prefix, old = id .. '|', {}
  for _, field in ipairs(call('HKEYS', ring_key)) do
    if string.sub(field, 1, #prefix) == prefix then old[#old + 1] = field end
  end
  if #old > 0 then call('HDEL', ring_key, unpack(old)) end
end

-- A ring's head, its closed buckets written. A call that began after `now` (the clock went back)
-- stays in its bucket, as RESERVE had it: SETTLE finds it there.
local function ring_head(ring_key, id, first, count, pairs_bytes, now_ms, tag)
  local current, total, sum, closed = (now_ms - now_ms % first) / first, 0, 0, { 'HSET', ring_key }
  for at = 1, #pairs_bytes, PAIR_BYTES do
    current = math.max(current, (read(PAIR, pairs_bytes, at)))
  end
  for at = 1, #pairs_bytes, PAIR_BYTES do
    local bucket, units = read(PAIR, pairs_bytes, at)
    if bucket == current then
      sum, total = sum + units, total + units
    elseif bucket >= current - count then
      closed[#closed + 1], closed[#closed + 2] = string.format('%s|%d', id, bucket), units
      total = total + units
    end
  end
  if #closed > 2 then call(unpack(closed)) end
  return write(HEAD, total, current - count, current, sum, tag)
end

local now_ms, tag, count, position = clock(), tag_of(run_id), 0, 1
if #ARGV > 2 and not is_ahead then count, position = read('<B', ARGV[3]) end
for i = 1, count do
  local _, kind, ring, id, first, second
  _, _, kind, ring, id, first, second, _, position = read(WINDOW, ARGV[3], position)
  local key, holds = KEYS[last_book + i], ARGV[3 + i]
  local bytes = call('GET', key)
  local is_over = kind == 1 and (now_ms < first or now_ms >= second) -- RESERVE will say PERIOD
  if not is_over and not (bytes and select(5, read(HEAD, bytes)) == tag) then
    local head
    if kind == 0 then
      forget(KEYS[ring], id)
      head = ring_head(KEYS[ring], id, first, second, holds, now_ms, tag)
    else
      local sum, latest = 0, now_ms
      for at = 1, #holds, PAIR_BYTES do
        local start, units = read(PAIR, holds, at)
        sum, latest = sum + units, math.max(latest, start)
      end
      if kind == 1 then
        head = write(HEAD, sum, first, first, sum, tag)
      else -- made after every call in it, so that SETTLE knows them
        head = write(BURST, math.min(second, sum), latest + 1, now_ms, 0, tag, 0)
      end
    end
    out[#out + 1], out[#out + 2] = key, head
  end
end

if #out > 0 then call('MSET', unpack(out)) end
return #lacking
