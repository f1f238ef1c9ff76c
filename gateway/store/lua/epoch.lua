-- EPOCH: open a shard for a run of the store.
--
-- KEYS  1 e
-- ARGV  1 run id (40 characters) · 2 pause (ms; 0 = none) · 3 catalog generation
--
-- Replies  NEW (opened: capped calls wait for `pause`) · SAME (it was open; only the generation may
--          have risen)
--
-- The generation only rises while a shard is open; a newly opened shard begins with the caller's.
--include clock
--include formats
local epoch, generation = redis.call('GET', KEYS[1]), tonumber(ARGV[3])
if epoch then
  local opened, pause_until, newest = read(EPOCH, epoch)
  if generation < newest then generation = newest end
  if opened == ARGV[1] then
    if generation > newest then
      redis.call('SET', KEYS[1], write(EPOCH, opened, pause_until, generation))
    end
    return 'SAME'
  end
end
redis.call('SET', KEYS[1], write(EPOCH, ARGV[1], clock() + tonumber(ARGV[2]), generation))
return 'NEW'
