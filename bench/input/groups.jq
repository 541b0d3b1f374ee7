# Records grouped, joined, rewritten and counted.
(group_by(.group) | map({key: .[0].group, value: (map(.parts[].value) | add)})
 | from_entries) as $sums
| map({id, name: (.text | split(" ") | map(ascii_upcase) | join("-")), sum: $sums[.group],
       parts: (.parts | map({(.key): .value}) | add)})
| sort_by(.name)
| {first: .[0], size: (tojson | length), keys: (map(.parts | keys[]) | group_by(.) | map(length)),
   matched: (map(select(.name | test("WORD1.*7$"))) | length)}
