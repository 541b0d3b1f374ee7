"""Limits of memory, threads and mappings, and unusual layouts of the address space."""
from cases.case import Case, PYTHON

CASES = {}

CASES["data_limited"] = Case([PYTHON, "perl", "sqlite3", "sort"], rf"""
ulimit -d 200000
{PYTHON} $INPUTS/memory_error.py
perl -e 'my @x = map {{ "x" x ($_ % 500) }} 1 .. 100000; print scalar(@x), "\n"'
sqlite3 :memory: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
  SELECT count(*), sum(length(hex(i))) FROM n;"
seq 500000 | sort -R --random-source=/dev/zero | sort -n | md5sum
""", timeout=90)

CASES["address_space_limited"] = Case(["g++", "git", "xz", "gawk", "openssl"], r"""
ulimit -v 400000
g++ -std=c++20 -O1 -S $INPUTS/heavy.cc -o - | md5sum
seq 300000 > data
xz -T1 -6 -k data && xz -dc data.xz | md5sum
gawk '{ count[$1 % 50000] += $1 } END { for (i in count) s += count[i]; print s }' data
git init -q repository && cp data repository && cd repository
git add data && git -c user.name=a -c user.email=a@b commit -q -m one && git gc -q && git fsck
openssl dgst -sha256 data
(ulimit -v 60000; sort -S 1G --parallel=4 data | md5sum)
""", timeout=90)

CASES["threads_refused"] = Case([PYTHON, "setpriv"], rf"""
if [ "$(id -u)" != 0 ]; then echo "only root can become a user without processes"; exit 77; fi
cat > p.py <<'END'
import threading
try:
    threading.Thread(target=print).start()
    print("a thread after all")
except RuntimeError as error:
    print(error)
for size in (100, 5000, 300000):
    blocks = [bytes(size) for _ in range(100000000 // size)]
    del blocks[::2]
    print(sum(map(len, blocks)))
    del blocks
END
chmod 711 .
setpriv --reuid=4711 --regid=4711 --clear-groups bash -c 'ulimit -u 1; exec {PYTHON} p.py'
""")

CASES["exhausted_mappings"] = Case(["gcc"], r"""
gcc -O1 $INPUTS/exhausted_mappings.c -o exhausted
./exhausted
""")

CASES["address_space_layouts"] = Case(["setarch", PYTHON, "perl"], rf"""
for way in --addr-no-randomize --addr-compat-layout --read-implies-exec --3gb --mmap-page-zero; do
  setarch "$(uname -m)" $way {PYTHON} -c 'import json; print(len(json.dumps([0] * 300000)))'
  setarch "$(uname -m)" $way perl -e 'print length(join ",", map {{ $_ * 7 }} 1 .. 99999), "\n"'
done
(ulimit -s unlimited; {PYTHON} -c 'print(len(bytes(50000000)))')
(ulimit -s 256; bash -c 'echo $(echo small)'; perl -e 'print "small stack\n"')
(ulimit -n 20; {PYTHON} -c 'print(len(bytes(50000000)))')
""")

# A program of a group with 64 MiB gives back what it no longer needs: it works for a while in
# 40 MiB, in blocks of changing sizes.
CASES["small_cgroup"] = Case([PYTHON], rf"""
of_version_2=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
of_version_1=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
folder=
for limit in "$of_version_2/new/memory.max" "$of_version_1/new/memory.limit_in_bytes"; do
  parent=${{limit%/new/*}}
  if mkdir "$parent/spanmalloc-test-$$" 2> /dev/null; then
    folder=$parent/spanmalloc-test-$$
    file=$folder/${{limit##*/}}
    if [ -e "$file" ] && echo $((64 << 20)) 2> /dev/null > "$file"; then break; fi
    rmdir "$folder"
    folder=
  fi
done
if [ -z "$folder" ]; then
  echo "this process may not make a control group with a limit of memory"
  exit 77
fi
trap 'echo $$ > "$parent/cgroup.procs"; rmdir "$folder"' EXIT
if [ -e "$folder/memory.swap.max" ]; then echo 0 > "$folder/memory.swap.max" || true; fi
echo $$ > "$folder/cgroup.procs"
{PYTHON} -c '
for size in (100, 700, 3000, 20000, 90000, 700000, 5000000):
    for _ in range(4):
        blocks = None
        blocks = [bytes([1]) * size for _ in range(40000000 // (size + 50))]
    print(size, len(blocks))
    del blocks'
""")
