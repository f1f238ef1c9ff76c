-- LOAD: create or merge books of one account from rows of Postgres.
--
-- KEYS  1 e · 2 r · 3 p · 4.. b of the scopes
-- ARGV  1 the rows in the order of the keys, packed one behind the other (ROW of include/merge.lua)
--
-- Replies  EPOCH (the shard is not open: nothing done) · the number of books made new or taken over
--          from an earlier run of the store
--
-- Also called after every edit, with the new version: a LOAD of an older row can then never bring
-- the old one back.
--include formats
--include merge
local call = redis.call

local epoch = call('GET', KEYS[1])
if not epoch then return 'EPOCH' end
local run_id = read(EPOCH, epoch)

local sums, fresh, out = nil, 0, {}
for i = 4, #KEYS do
  local used, granted, gver, version = read(ROW, ARGV[1], (i - 4) * ROW_BYTES + 1)
  local bytes = call('GET', KEYS[i])
  local book = bytes and { read(BOOK, bytes) }
  if not book or book[LOADED] ~= run_id then
    sums = sums or sums_of_records(KEYS[2], KEYS[3])
    local sum = sums[scope_of(KEYS[i])]
    if book then
      sum = sum or { 0, 0, 0 }
      book[PENDING], book[RESERVED], book[LIVE], book[LOADED] = sum[1], sum[2], sum[3], run_id
    else
      book = new_book(used, granted, gver, version, sum, run_id)
    end
    fresh = fresh + 1
  end
  merge_row(book, used, granted, gver, version)
  out[#out + 1] = KEYS[i]
  out[#out + 1] = book_bytes(book)
end
call('MSET', unpack(out))
return fresh
