-- Headroom shared by gateways: each call is one transaction. The arithmetic is that of core/slices.py.
-- Amounts are integers below 2^53, which a Lua number holds exactly; they leave as text, for "%.14g" would round them.
-- KEYS[1] is what all names begin with; ARGV[1] names the action, the rest is its own.
local root = KEYS[1]
local function key(...) return table.concat({root, ...}, ':') end
local function whole(number) return string.format('%.0f', number) end
local function get(name, field) return tonumber(redis.call('HGET', name, field) or nil) end

-- Until when each holder is alive; asked once a call.
local ends = {}
local function ends_of(holder)
  if ends[holder] == nil then
    ends[holder] = tonumber(redis.call('ZSCORE', key('alive'), holder) or nil) or false
  end
  return ends[holder]
end

local function hold(account, holder, amount)
  if amount > 0 then
    redis.call('HSET', key('held', account), holder, whole(amount))
    redis.call('SADD', key('holds', holder), account)
  else
    redis.call('HDEL', key('held', account), holder)
    redis.call('SREM', key('holds', holder), account)
  end
end

local function note(budget, what, now)
  redis.call('LPUSH', key('changes'), cjson.encode({budget = budget, what = what, wall = now}))
  redis.call('LTRIM', key('changes'), 0, 999)
end

local function each(name, action)
  local rows = redis.call('HGETALL', name)
  for at = 1, #rows, 2 do action(rows[at], tonumber(rows[at + 1])) end
end

local function standing(holder, ask, now)
  local found = {held = 0, spent = 0, count = 0, others = 0, unknown = 0, limit = ask.limit, holders = 1}
  each(key('spent', ask.account), function(period, amount)
    period = tonumber(period)
    if period >= ask.since then
      found.spent = found.spent + amount
      if not found.oldest or period < found.oldest then found.oldest = period end
    end
  end)
  each(key('count', ask.account), function(period, count)
    if tonumber(period) >= ask.since then found.count = found.count + count end
  end)
  each(key('held', ask.account), function(name, amount)
    local until_ = ends_of(name)
    if name == holder then
      found.held = found.held + amount
    elseif until_ and until_ > now then
      found.others = found.others + amount
      found.holders = found.holders + 1
    elseif until_ and until_ >= ask.began then
      found.unknown = found.unknown + amount
    end
  end)
  local word = redis.call('HGET', key('limits'), ask.budget)
  if word then
    local limit, instead_of = word:match('(%d+) (%d+)')
    if tonumber(instead_of) == ask.limit then found.limit = tonumber(limit) end
  end
  return found
end

local function book(holder, ask)
  for _, movement in ipairs(ask.spent) do
    redis.call('HINCRBY', key('spent', ask.account), whole(movement[1]), whole(movement[2]))
    redis.call('HINCRBY', key('count', ask.account), whole(movement[1]), whole(movement[3]))
  end
  if ask.used ~= 0 or ask.back ~= 0 then
    -- Whoever spent more than he held has nothing left; the excess is in `spent` all the same.
    hold(ask.account, holder, (get(key('held', ask.account), holder) or 0) - ask.used - ask.back)
  end
end

-- Periods long past, and slices lost in a window that is over.
local function forget(ask, now)
  each(key('spent', ask.account), function(period)
    if tonumber(period) < ask.keep then
      redis.call('HDEL', key('spent', ask.account), period)
      redis.call('HDEL', key('count', ask.account), period)
    end
  end)
  each(key('held', ask.account), function(name)
    local until_ = ends_of(name)
    if until_ and until_ <= now and until_ < ask.began then hold(ask.account, name, 0) end
  end)
end

local function slice_of(headroom, need, want, holders)
  if headroom <= 0 or headroom < need then return 0 end
  return math.min(headroom, math.max(need, math.min(want, math.floor(headroom / (holders + 1)))))
end

local function give(holder, ask, now)
  local found = standing(holder, ask, now)
  local headroom = found.limit - found.spent - found.held - found.others - found.unknown
  local given = slice_of(headroom, ask.need, ask.want, found.holders)
  if given > 0 then
    found.held = found.held + given
    hold(ask.account, holder, found.held)
  end
  return found
end

local function told(found)
  local row = {}
  for at, name in ipairs({'held', 'spent', 'count', 'others', 'unknown', 'limit'}) do row[at] = whole(found[name]) end
  row[7] = found.oldest and whole(found.oldest) or ''
  return row
end

local function of_budget(budget)
  local found = {}
  for _, account in ipairs(redis.call('SMEMBERS', key('accounts'))) do
    if account == budget or account:sub(1, #budget + 1) == budget .. '[' then found[#found + 1] = account end
  end
  return found
end

local function renew(holder, turn, now, expires, writes, asks)
  turn, now, writes, asks = tonumber(turn), tonumber(now), writes == '1', cjson.decode(asks)
  local fresh = false
  if writes then
    local last = get(key('turns'), holder)
    fresh = not last or last < turn
    redis.call('HSET', key('turns'), holder, whole(turn))
    redis.call('ZADD', key('alive'), expires, holder)
    ends[holder] = tonumber(expires)
  end
  if fresh then
    for _, ask in ipairs(asks) do
      redis.call('SADD', key('accounts'), ask.account)
      book(holder, ask)
      forget(ask, now)
    end
  end
  local found = {}
  for at, ask in ipairs(asks) do
    found[at] = told(fresh and give(holder, ask, now) or standing(holder, ask, now))
  end
  return found
end

local function leave(holder, turn, now, asks)
  renew(holder, turn, now, now, '1', asks)
  if redis.call('SCARD', key('holds', holder)) == 0 then
    redis.call('ZREM', key('alive'), holder)
    redis.call('HDEL', key('turns'), holder)
  end
end

local function give_back(holder, free, now)
  local until_, sum = ends_of(holder), 0
  if not until_ or until_ > tonumber(now) then return '0' end
  for account, amount in pairs(cjson.decode(free)) do
    local held = get(key('held', account), holder) or 0
    amount = math.max(0, math.min(amount, held))
    if amount > 0 then
      hold(account, holder, held - amount)
      note(account:match('^[^%[]*'), whole(amount) .. ' given back of what a dead gateway held in ' .. account, now)
      sum = sum + amount
    end
  end
  return whole(sum)
end

local function first_to_tell(account, share, until_, now)
  local last = get(key('told', account), share)
  if last and last > tonumber(now) then return 0 end
  redis.call('HSET', key('told', account), share, until_)
  return 1
end

local function set_limit(budget, amount, instead_of, now)
  if amount == '' then
    redis.call('HDEL', key('limits'), budget)
  else
    redis.call('HSET', key('limits'), budget, amount .. ' ' .. instead_of)
  end
  note(budget, 'limit ' .. (amount == '' and 'as configured' or amount), now)
end

local function reset(budget, now, lost_only)
  local lost, spent = 0, 0
  for _, account in ipairs(of_budget(budget)) do
    each(key('held', account), function(holder, amount)
      local until_ = ends_of(holder)
      if until_ and until_ <= tonumber(now) then
        lost = lost + amount
        hold(account, holder, 0)
      end
    end)
    if lost_only ~= '1' then
      each(key('spent', account), function(_, amount) spent = spent + amount end)
      redis.call('DEL', key('spent', account), key('count', account), key('told', account))
    end
  end
  note(budget, 'reset: ' .. whole(spent) .. ' spent and ' .. whole(lost) .. ' lost forgotten', now)
  return whole(spent + lost)
end

local actions = {
  renew = renew,
  leave = leave,
  give_back = give_back,
  first_to_tell = first_to_tell,
  set_limit = set_limit,
  reset = reset,
}
return actions[ARGV[1]](unpack(ARGV, 2))
