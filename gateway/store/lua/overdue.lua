-- OVERDUE: the ids of a shard whose time is up, with what is known of them. Takes nothing: what is
-- done with them goes to Postgres first and comes back as CONFIRM, so any number of readers may do
-- the same.
--
-- Before a shard is open, and in the pause after a loss, nobody's time is up: who lives renews its
-- leases in it, and a store that was rolled back has those of a while ago.
--
-- KEYS  1 x · 2 e
-- ARGV  1 how many at most · 2 run id (40 characters)
--
-- Replies  a flat list, oldest first: account, request id, 'r' (a reservation whose lease has ended)
--          or 'p' (a charge that Postgres should have by now), the record
--
-- The accounts are known only from x, so r and p of each are the exception to "all keys are
-- declared"; they share the hash tag. An id that neither has (a store that was edited by hand) is
-- taken out of x.
--include clock
--include formats
local call = redis.call

local now_ms, epoch = clock(), call('GET', KEYS[2])
if not epoch then return {} end
local run_id, pause_until = read(EPOCH, epoch)
if run_id ~= ARGV[2] or now_ms < pause_until then return {} end

local prefix, found = string.sub(KEYS[1], 1, 9), {}
for _, member in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])) do
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
