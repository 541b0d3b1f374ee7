-- Tables, closures and strings that the collector has to keep up with: trees built and dropped, a
-- cache with eviction, text put together piece by piece.
-- usage: tables.lua <rounds>
local state = 7
local function pick(limit)
  state = (state * 1103515245 + 12345) % 2147483648
  return (state >> 8) % limit + 1
end

local function tree(depth)
  if depth == 0 then return {value = pick(1000)} end
  return {left = tree(depth - 1), right = tree(depth - 1), value = depth}
end

local function sum(node)
  if not node.left then return node.value end
  return node.value + sum(node.left) + sum(node.right)
end

local function counter(step)
  local total = 0
  return function(by) total = total + step * by; return total end
end

local cache, order, total, characters = {}, {}, 0, 0
for round = 1, tonumber(arg[1]) do
  total = total + sum(tree(11))
  local functions = {}
  for index = 1, 1000 do functions[index] = counter(index) end
  for index = 1, 3000 do total = total + functions[pick(1000)](index % 3) end
  for index = 1, 2000 do
    local key = "key " .. pick(20000)
    if not cache[key] then
      cache[key] = {name = key, data = string.rep("x", pick(300)), links = {index, index + 1}}
      order[#order + 1] = key
    end
    characters = characters + #cache[key].data
  end
  if #order > 8000 then
    local kept = table.move(order, 4001, #order, 1, {})
    for index = 1, 4000 do cache[order[index]] = nil end
    order = kept
  end
  local parts = {}
  for word in string.gmatch(string.rep("alpha beta gamma delta ", 60), "%a+") do
    parts[#parts + 1] = word:upper():reverse() .. #parts
  end
  table.sort(parts)
  characters = characters + #table.concat(parts, ",")
end
print(total, characters, #order)
