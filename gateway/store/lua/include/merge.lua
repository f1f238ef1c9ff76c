-- Books as arrays, and joining a row of Postgres into one. Order-free and idempotent: `used` only
-- grows, so its join is max; the grant is the one with the higher gver; version is max.
--
-- ROW  used, granted (UNCAPPED where there is no grant), gver, version
local ROW = '<dddd'
local ROW_BYTES = 32
local GRANTED, GVER, USED, PENDING, RESERVED, LIVE, VERSION, LOADED = 1, 2, 3, 4, 5, 6, 7, 8

local TAG_BYTES = 9 -- "q:{sNNN}:"
local function scope_of(book_key) return string.sub(book_key, TAG_BYTES + 3) end

local function book_bytes(b)
  return write(BOOK, b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8])
end

-- What r and p hold of some scopes of an account, as {pending, reserved, live} by scope. The sums of a book
-- that is made anew come from the records themselves, never from memory. There may be thousands: they are
-- read once for all scopes.
local function sums_of_records(r_key, p_key, wanted)
  local sums = {}
  if #wanted == 0 then return sums end
  for _, scope in ipairs(wanted) do sums[scope] = { 0, 0, 0 } end
  local function add(scopes, pending, reserved, live)
    for scope in string.gmatch(scopes, '%S+') do
      local sum = sums[scope]
      if sum then sum[1], sum[2], sum[3] = sum[1] + pending, sum[2] + reserved, sum[3] + live end
    end
  end
  for _, record in ipairs(redis.call('HVALS', r_key)) do
    local amount, _, _, scopes = read(RECORD, record)
    add(scopes, 0, amount, 1)
  end
  for _, record in ipairs(redis.call('HVALS', p_key)) do
    local amount, scopes = read(SETTLED, record)
    add(scopes, amount, 0, 0)
  end
  return sums
end

-- A new book of a row; its sums are those of the records.
local function new_book(used, granted, gver, version, sum, loaded)
  return { granted, gver, used, sum[1], sum[2], sum[3], version, loaded }
end

local function merge_row(book, used, granted, gver, version)
  if used > book[USED] then book[USED] = used end
  if gver > book[GVER] then book[GRANTED], book[GVER] = granted, gver end
  if version > book[VERSION] then book[VERSION] = version end
end
