-- EPOCH: open a shard for a run of the store.
--
-- KEYS  1 e
-- ARGV  1 run id (40 characters) · 2 pause (ms; 0 = none) · 3 catalog generation
--       4 prolong (0|1): where it is open, capped calls wait for `pause` from now on, or longer
--       5 marks (run id, time in ms), one behind the other: what that run had opened by then is over,
--         because another run came after it; its server was away and is back with what it had
--
-- Replies  NEW (opened: capped calls wait for `pause`) · SAME (it was open; only the generation may
--          have risen, and the pause where that was asked)
--
-- The generation only rises while a shard is open; a newly opened shard begins with the caller's.
--include clock
--include formats
local epoch, generation = redis.call('GET', KEYS[1]), tonumber(ARGV[3])
local now_ms = clock()
local MARK, MARK_BYTES = '<c40d', 48
local pause_end = now_ms + tonumber(ARGV[2])
if epoch then
  local run_id, pause_until, newest, opened_at = read(EPOCH, epoch)
  local is_open = run_id == ARGV[1]
  for at = 1, #ARGV[5], MARK_BYTES do
    local before, until_ms = read(MARK, ARGV[5], at)
    if before == run_id and opened_at <= until_ms then is_open = false end
  end
  if generation < newest then generation = newest end
  if is_open then
    if ARGV[4] ~= '1' or pause_end < pause_until then pause_end = pause_until end
    if generation > newest or pause_end > pause_until then
      redis.call('SET', KEYS[1], write(EPOCH, run_id, pause_end, generation, opened_at))
    end
    return 'SAME'
  end
end
redis.call('SET', KEYS[1], write(EPOCH, ARGV[1], pause_end, generation, now_ms))
return 'NEW'
