"""The cases of run.py: scripts for bash that use real programs and print what they computed."""
from dataclasses import dataclass, field


@dataclass
class Case:
    """One script. `needs` are the programs without which it is skipped; it is skipped as well when
    the plain run ends with 77, where what it needs (tracing, say) is forbidden. `normalise` are
    pairs of an expression and what replaces it in the output of both runs; `timeout` is in
    seconds."""
    needs: list
    script: str
    normalise: list = field(default_factory=list)
    timeout: int = 60


PYTHON = "/usr/bin/python3"
HEXADECIMAL = (r"0x[0-9a-f]+", "0x*")

CASES = {}

# Interpreters.

CASES["python3"] = Case([PYTHON], f"{PYTHON} $INPUTS/work.py")

CASES["python3_malloc"] = Case([PYTHON], f"PYTHONMALLOC=malloc {PYTHON} $INPUTS/work.py")

CASES["python3_debug"] = Case([PYTHON], f"PYTHONMALLOC=malloc_debug {PYTHON} $INPUTS/work.py")

CASES["python3_limited"] = Case([PYTHON], f"""
ulimit -v 200000
{PYTHON} $INPUTS/memory_error.py
PYTHONMALLOC=malloc {PYTHON} $INPUTS/memory_error.py
""")

CASES["perl"] = Case(["perl"], "perl $INPUTS/work.pl")

CASES["ruby"] = Case(["ruby"], "ruby $INPUTS/work.rb")

CASES["lua"] = Case(["lua5.4"], "lua5.4 $INPUTS/work.lua")

CASES["node"] = Case(["node"], "node $INPUTS/work.js", timeout=90)

CASES["java"] = Case(["java", "javac"], """
cp $INPUTS/Work.java .
javac Work.java
java -Xmx200m Work
""", timeout=120)

CASES["bash"] = Case(["bash"], r"""
total=0
for i in $(seq 300); do
  n=$(echo "$i" | { read -r x; echo $((x * x)); })
  total=$((total + n))
done
echo "$total"
for i in 1 2 3 4 5 6 7 8; do
  (declare -A map; for j in $(seq 500); do map[$j]="value $j"; done; echo "${#map[@]}") &
done
wait
text=$(printf 'line %s\n' $(seq 5000)); echo "${#text}"
array=($(seq 20000)); echo "${array[19999]} ${#array[*]}"
""")

# Databases and servers.

CASES["sqlite3"] = Case(["sqlite3"], r"""
sqlite3 test.db <<'END'
PRAGMA journal_mode=WAL;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 100003), i * 0.25 FROM n;
CREATE INDEX by_name ON item(name);
SELECT count(*), sum(price), max(name) FROM item;
SELECT name, count(*) c FROM item GROUP BY substr(name, 1, 8) ORDER BY c DESC, name LIMIT 10;
DELETE FROM item WHERE id % 3 = 0;
VACUUM;
SELECT group_concat(name, ',') FROM (SELECT name FROM item ORDER BY name LIMIT 20);
SELECT json_group_array(id) FROM (SELECT id FROM item ORDER BY id LIMIT 50);
PRAGMA integrity_check;
END
sqlite3 test.db .dump | md5sum
""")

CASES["redis"] = Case(["redis-server", "redis-cli"], r"""
cli() { redis-cli -s "$PWD/socket" "$@"; }
start() {
  redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' --io-threads 2 \
    --enable-debug-command yes --daemonize no >> log 2>&1 &
  server=$!
  for i in $(seq 200); do
    if [ "$(cli ping 2>&1)" = PONG ]; then return; fi
    sleep 0.05
  done
  cat log; exit 1
}
start
cli debug populate 100000 key 100
for i in $(seq 200); do
  echo "hset map field$i $i"; echo "rpush list $i"; echo "zadd z $i m$i"
done | cli > /dev/null
cli eval 'for i = 1, 20000 do redis.call("set", "lua" .. i, string.rep("x", i % 500)) end' 0
cli bgsave
for i in $(seq 5000); do echo "append key:$i more"; done | cli > /dev/null
while cli info persistence | grep -q rdb_bgsave_in_progress:1; do sleep 0.05; done
cli info persistence | grep rdb_last_bgsave_status
cli bgsave
while cli info persistence | grep -q rdb_bgsave_in_progress:1; do sleep 0.05; done
cli debug digest
cli shutdown nosave || true
wait $server
start
cli dbsize
cli debug digest
cli flushall
cli memory purge
cli shutdown nosave || true
wait $server
! grep -E 'crashed|Guru|BUG REPORT' log
""", timeout=90)

# Compilers and tools for programmers.

CASES["gcc"] = Case(["g++"], r"""
g++ -std=c++20 -O1 -S $INPUTS/heavy.cc -o heavy.s
md5sum < heavy.s
g++ heavy.s -o heavy -pthread
./heavy
g++ -std=c++20 -fsyntax-only -DBROKEN $INPUTS/heavy.cc 2>&1 | head -3 | sed "s,$INPUTS/,," || true
""", timeout=90)

CASES["clang"] = Case(["clang++"], r"""
clang++ -std=c++20 -O1 -S $INPUTS/heavy.cc -o heavy.s
md5sum < heavy.s
clang++ heavy.s -o heavy -pthread
./heavy
""", timeout=90)

CASES["make"] = Case(["make", "gcc", "ar"], r"""
for i in $(seq 12); do
  echo "int f$i(int x) { return x * $i; }" > f$i.c
done
{
  for i in $(seq 12); do echo "int f$i(int);"; done
  echo '#include <stdio.h>'
  echo 'int main(void) { int s = 0;'
  for i in $(seq 12); do echo "s += f$i($i);"; done
  echo 'printf("%d\n", s); return 0; }'
} > main.c
cat > Makefile <<'END'
objects := $(patsubst %.c,%.o,$(sort $(wildcard f*.c)))
program: main.o libf.a
	@gcc -o $@ main.o libf.a
libf.a: $(objects)
	@ar rcs $@ $^
%.o: %.c
	@gcc -O1 -c -o $@ $<
.PHONY: program
END
make -j4 program
./program
make -n | wc -l
""")

CASES["git"] = Case(["git"], r"""
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main repository
cd repository
git config gc.auto 0
for i in $(seq 40); do
  seq $i $((i * 50)) > file$((i % 7)).txt
  mkdir -p directory$((i % 5)); seq $i > directory$((i % 5))/$i
  git add -A
  GIT_AUTHOR_DATE="2020-01-01T00:00:$i" GIT_COMMITTER_DATE="2020-01-01T00:00:$i" \
    git commit -q -m "commit $i"
done
git log --stat --oneline | md5sum
git gc -q --aggressive
git fsck --full
git log -p | md5sum
git blame file3.txt | md5sum
git clone -q . ../clone
git -C ../clone rev-parse HEAD
git grep -c 7 | sort | md5sum
git diff HEAD~20 | wc -l
""")

CASES["gdb"] = Case(["gdb", "gcc"], r"""
gdb -nx --batch -ex 'break exit' -ex run true 2>&1 | grep -q '^Breakpoint 1, ' || exit 77
cat > p.c <<'END'
#include <stdio.h>
#include <stdlib.h>
struct node { int value; struct node *next; };
int sum(struct node *n) { return n ? n->value + sum(n->next) : 0; }
int main(void) {
  struct node *list = NULL;
  for (int i = 0; i < 10; i++) {
    struct node *n = malloc(sizeof *n); n->value = i; n->next = list; list = n;
  }
  printf("%d\n", sum(list));
  return 0;
}
END
gcc -g -O0 p.c -o p
gdb -nx --batch -ex 'break sum if n == 0' -ex run -ex bt -ex 'print 6 * 7' -ex 'frame 3' \
  -ex 'print n->value' -ex 'print *list@2' -ex 'info line main' -ex 'ptype struct node' \
  -ex continue ./p 2>&1
""", [HEXADECIMAL, (r"process \d+", "process *"), (r"^warning:.*\n", ""), (r"^\[.*\]\n", "")])

CASES["strace"] = Case(["strace"], r"""
strace -o /dev/null true 2> /dev/null || exit 77
strace -f -qq -e trace=write -e signal=none -o trace sh -c 'echo one; echo two | cat'
sed 's/^[0-9]* //' trace | sort
strace -f -c -o summary sh -c 'for i in 1 2 3 4 5; do true | cat; done'
grep -c total summary
""", [(r"^\d+ ", "")])

CASES["cmake"] = Case(["cmake", "c++"], r"""
mkdir source
cat > source/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.16)
project(p LANGUAGES NONE)
foreach(i RANGE 2000)
  list(APPEND numbers "number ${i}")
endforeach()
list(FILTER numbers INCLUDE REGEX "7")
list(LENGTH numbers length)
string(SHA256 hash "${numbers}")
message(STATUS "${length} ${hash}")
END
cmake -S source -B build | grep -e '-- [0-9]'
""")

CASES["z3"] = Case(["z3"], "z3 $INPUTS/problem.smt2")

# Text, archives, and the small tools.

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
