-- The store's clock in ms. The only source of time of every script; tests put their own in its
-- place.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
