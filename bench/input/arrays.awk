# Counts, lists and an index of words in associative arrays.
{
  visits[$1]++
  pages[$1] = pages[$1] " " $2
  bytes[$2] += $3
  for (i = 4; i <= NF; i++) {
    words[$i]++
    pair[$i, $1] = NR
  }
  if (length(pages[$1]) > 200) { n = split(pages[$1], list, " "); kept += n; delete pages[$1] }
}
END {
  for (key in pair) {
    split(key, part, SUBSEP)
    if (part[2] in pages && gsub(/1/, "one", part[1])) total += length(part[1])
  }
  for (page in bytes) sum += bytes[page] % 977
  print NR, length(visits), length(pages), length(words), kept, total, sum
}
