-- OVERDUE: the ids of a shard whose time is up, with what is known of them. Takes nothing: what is
-- done with them goes to Postgres first and comes back as CONFIRM, so any number of readers may do
-- the same.
--
-- KEYS  1 x
-- ARGV  1 how many at most
--
-- Replies  a flat list, oldest first: account, request id, 'r' (a reservation whose lease has ended)
--          or 'p' (a charge that Postgres should have by now), the record
--
-- The accounts are known only from x, so r and p of each are the exception to "all keys are
-- declared"; they share the hash tag. An id that neither has (a store that was edited by hand) is
-- taken out of x.
--include clock
local call = redis.call

local prefix, found = string.sub(KEYS[1], 1, 9), {}
for _, member in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', clock(), 'LIMIT', 0, ARGV[1])) do
  local account, request_id = string.match(member, '^([^|]*)|(.*)$')
  local kind, record = 'r', call('HGET', prefix .. 'r:' .. account, request_id)
  if not record then
    kind, record = 'p', call('HGET', prefix .. 'p:' .. account, request_id)
  end
  if record then
    local n = #found
    found[n + 1], found[n + 2], found[n + 3], found[n + 4] = account, request_id, kind, record
  else
    call('ZREM', KEYS[1], member)
  end
end
return found
