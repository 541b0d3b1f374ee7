-- Tables, strings and coroutines; prints results that do not change.
local value = 1
local kept = {}
for i = 1, 200000 do
  value = (value * 1103515245 + 12345) & 0x7fffffff
  kept[value % 997] = string.rep("x", value % 700)
  if i % 5 == 0 then kept[value % 499] = nil end
end
local total = 0
for _, text in pairs(kept) do total = total + #text end
print(total)
local words = {}
for i = 1, 50000 do words[i] = tostring(i * 7919 % 50021) end
table.sort(words)
print(words[1], words[25000], #table.concat(words, ","))
local co = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(("y"):rep(i)) end end)
local length = 0
for _ = 1, 1000 do length = length + #co() end
print(length)
print((table.concat(words, " "):gsub("(%d)(%d)", "%2%1")):sub(1, 60))
for _ = 1, 3 do collectgarbage() end
print(collectgarbage("count") > 0, pcall(string.rep, "x", 1 << 62))
