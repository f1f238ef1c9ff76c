-- How a window changes with a call that was counted in it: SETTLE and whoever else learns more of a
-- call than was reserved for it. Needs formats and burst.

-- In a burst's window. What is given back is no more than would still be missing from the level if
-- the call had been smaller from its start: the level was never lower since then than it was after
-- the call, less what was refilled and given back in the meantime.
local function corrected_burst(bytes, burst, limit, by, held, start, mark, now_ms)
  local level, born, at, back, tag, part = read(BURST, bytes)
  level, part = level_at(level, part, at, now_ms, limit, burst)
  if by > 0 then return write(BURST, level + by, born, now_ms, back, tag, part) end
  local low = mark or 0
  if start < born then low = math.min(held, burst) end -- LOAD counted it
  local refilled, rest = refill(limit, math.max(0, now_ms - start), 0)
  if rest > 0 then refilled = refilled + 1 end
  local give = math.min(-by, level, math.max(0, low - back - refilled))
  if give == 0 then return nil end
  return write(BURST, level - give, born, now_ms, back + give, tag, part)
end

-- The head `bytes` of a window after a call that started at `start` and held `held` changed by
-- `by`, and the closed bucket that changes with it (nil: none). nil: nothing changes.
--
-- `bucket` is the record's, nil where it has none; below zero where the call is not in a head of
-- that tag: one that was made anew since has every call in it. Where the clock went back before the
-- call, it was counted in `bucket`, and LOAD counts it at its start: what is added leaves with the
-- later of the two, what is taken with the earlier, so that neither is ever counted short.
local function corrected(bytes, kind, first, second, limit, by, held, start, bucket, now_ms)
  if bucket and bucket < 0 then
    if -1 - bucket == select(5, read(HEAD, bytes)) then return nil end
    bucket = nil
  end
  if kind == 2 then
    return corrected_burst(bytes, second, limit, by, held, start, bucket, now_ms)
  end
  local total, oldest, current, sum, tag = read(HEAD, bytes)
  if kind == 0 then
    local started = (start - start % first) / first
    bucket = bucket or started
    if by < 0 and started < bucket then bucket = started end
  elseif not bucket then
    bucket = start >= current and current or -1
  end
  if bucket < oldest or bucket > current then return nil end
  if bucket < current then
    return write(HEAD, total + by, oldest, current, sum, tag), bucket
  end
  return write(HEAD, total + by, oldest, current, sum + by, tag)
end
