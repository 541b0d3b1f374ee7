"""Text, archives, documents, and the small tools."""
from cases.case import Case

CASES = {}

CASES["pipeline"] = Case(["gawk", "sed", "sort", "tar", "gzip", "xz"], r"""
gawk 'BEGIN { for (i = 0; i < 100000; i++) print (i * 7919) % 100003, "word" i % 977, i }' > data
sort data | md5sum
sort --parallel=4 -S 4M -k2,2 -k1,1n data | md5sum
gawk '{ count[$2]++; sum[$2] += $1 } END { for (w in count) print w, count[w], sum[w] }' data |
  sort | md5sum
sed -E 's/word([0-9]+)/<\1>/g; s/^([0-9])/\1-/' data | md5sum
tar cf - data | gzip -9 | gzip -dc | tar xOf - | md5sum
xz -T2 -1 -k data && xz -dc data.xz | md5sum
tr 0-9 a-j < data | uniq -c | tail -1
join <(sort -u -k1,1 data | head -1000) <(sort -u -k1,1 data | head -500) | wc -l
""", timeout=90)

CASES["find_xargs"] = Case(["find", "xargs"], r"""
for i in $(seq 30); do
  mkdir -p d$i/e
  for j in $(seq 10); do echo $((i * j)) > d$i/e/$j; done
done
find . -type f | sort | md5sum
find . -type f -print0 | sort -z | xargs -0 -P 4 -n 20 cat | sort -n | md5sum
find . -name '1*' -newer d1 -exec grep -l 1 {} + | sort | wc -l
grep -rc 1 . | sort | md5sum
du -a . | wc -l
""")

CASES["jq"] = Case(["jq"], r"""
jq -n '[range(20000) | {id: ., name: "n\(.)", tags: [., . * 2 | tostring]}]' > data.json
jq '[.[] | select(.id % 7 == 0) | .tags[]] | length' data.json
jq -c 'group_by(.id % 10) | map({key: (.[0].id | tostring), value: length}) | from_entries' \
  data.json
jq -r '.[].name | test("9+$")' data.json | sort | uniq -c
jq -S 'map(.name) | unique | .[0:5]' data.json
echo '{"broken": ' | jq . 2>&1 || true
""")

CASES["openssl"] = Case(["openssl"], r"""
seq 100000 > data
for digest in md5 sha1 sha256 sha512 blake2b512; do openssl dgst -$digest < data; done
openssl genrsa -out key.pem 2048 2> /dev/null
openssl rsa -in key.pem -pubout -out public.pem 2> /dev/null
openssl dgst -sha256 -sign key.pem -out signature data
openssl dgst -sha256 -verify public.pem -signature signature data
openssl ecparam -genkey -name prime256v1 -out ec.pem
openssl req -x509 -new -key ec.pem -subj /CN=test -days 10 -out certificate.pem
openssl verify -CAfile certificate.pem certificate.pem
openssl enc -aes-256-cbc -pbkdf2 -k secret -in data |
  openssl enc -d -aes-256-cbc -pbkdf2 -k secret | md5sum
""")

CASES["curl"] = Case(["curl"], r"""
seq 200000 > data
curl -s "file://$PWD/data" | md5sum
curl -s --parallel "file://$PWD/data" -o a "file://$PWD/data" -o b 2> /dev/null
cmp a b && echo same
curl -s --connect-timeout 2 http://127.0.0.1:1/ || echo "status $?"
""")

CASES["ghostscript"] = Case(["gs"], r"""
cat > page.ps <<'END'
%!PS
/Times-Roman findfont 20 scalefont setfont
1 1 30 { /i exch def
  i 20 mul i 25 mul moveto (line ) show i 10 string cvs show
  0.5 setgray newpath 300 i 20 mul i 5 mul 0 360 arc stroke 0 setgray
} for
showpage
/square { dup mul } def 1 1 1000 { square pop } for
END
gs -q -dBATCH -dNOPAUSE -sDEVICE=ppmraw -r150 -sOutputFile=page.ppm page.ps
md5sum < page.ppm
gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=page.pdf page.ps
gs -q -dBATCH -dNOPAUSE -sDEVICE=pgmraw -r72 -sOutputFile=page.pgm page.pdf
md5sum < page.pgm
""")
