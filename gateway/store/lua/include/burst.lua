-- The level of a limit with a burst, in whole units and exact: `limit` units are refilled a minute,
-- `part` is what there is of the next one, in 1/60000 of it.

-- The units that are refilled in `ms`, and the new part. The limit is split so that no product
-- passes 2^53: a burst is refilled within a day (gateway/settings.py).
local function refill(limit, ms, part)
  local rest = limit % 60000
  local parts = rest * ms + part
  local left = parts % 60000
  return (limit - rest) / 60000 * ms + (parts - left) / 60000, left
end

-- The first whole ms after which `units` are refilled. The division may be a rounding off, refill
-- is not.
local function refill_ms(limit, units, part)
  local ms = math.max(0, math.ceil((units * 60000 - part) / limit))
  if (refill(limit, ms, part)) < units then return ms + 1 end
  if ms > 0 and (refill(limit, ms - 1, part)) >= units then return ms - 1 end
  return ms
end

-- The level and part that were worked out at `at`, now. A clock that went back lets nothing more
-- in, and closes the window for no longer than a full burst takes; what settlements put on top of
-- that ages out within a minute.
local function level_at(level, part, at, now_ms, limit, burst)
  if now_ms >= at then
    local units
    units, part = refill(limit, now_ms - at, part)
    level = level - units
    if level <= 0 then return 0, 0 end
  else
    local units, more = refill(limit, at - now_ms, 0)
    local later = level + units
    part = part - more
    if part < 0 then later, part = later + 1, part + 60000 end
    if later > burst then later, part = math.max(level, burst), 0 end
    level = later
  end
  if level > limit + burst then return limit + burst, 0 end
  return level, part
end
