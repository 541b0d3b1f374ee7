"""Programs that live from fork, exec and threads."""
from cases.case import Case, PYTHON

CASES = {}

CASES["bash_forks"] = Case(["bash"], r"""
nested() { if (($1 > 0)); then (nested $(($1 - 1)); exit $?); else echo "bottom $BASH_SUBSHELL"; fi; }
nested 40
for round in 1 2 3 4 5; do
  jobs=(); failed=0
  for i in $(seq 60); do (x=($(seq 200)); exit $((i % 7))) & jobs+=($!); done
  for job in "${jobs[@]}"; do wait "$job" || failed=$((failed + 1)); done
  echo "$failed of 60"
done
trap 'caught=$((caught + 1)); text=$(printf "%0.s-" $(seq 50)); (exit 3) || true' USR1
caught=0
for i in $(seq 30); do kill -USR1 $$; done
echo "$caught signals ${#text}"
coproc bc_like { while read -r a b; do echo $((a * b)); done; }
for i in $(seq 50); do echo "$i $i" >&"${bc_like[1]}"; read -r answer <&"${bc_like[0]}"; done
echo "$answer"
cat <(seq 1000) <(seq 1000 | sort -r) | tee >(md5sum > sum) | wc -l
for try in $(seq 100); do if [ -s sum ]; then break; fi; sleep 0.02; done
cat sum
""")

CASES["make_parallel"] = Case(["make"], r"""
{
  printf 'all:'
  for i in $(seq 120); do printf ' t%s' $i; done
  printf '\n\t@sort -n out | uniq | wc -l\n'
  for i in $(seq 120); do
    printf 't%s: t%s\n\t@x=$$(seq %s | tail -n 1) && echo $$x >> out\n' $i $((i * 7)) $i
  done
  printf '.DEFAULT:\n\t@true\nrecursive: all\n\t@$(MAKE) --no-print-directory -f Makefile sub\n'
  printf 'sub:\n\t@+for i in 1 2 3; do $(MAKE) -s t$$i & done; wait\n\t@wc -l < out\n'
} > Makefile
make -j8
make -j8 recursive
""")

CASES["perl_threads"] = Case(["perl"], "perl $INPUTS/threads.pl")

CASES["python3_multiprocessing"] = Case([PYTHON], f"{PYTHON} $INPUTS/multiprocessing_kinds.py",
                                        timeout=90)

CASES["python3_asyncio"] = Case([PYTHON], f"{PYTHON} $INPUTS/asyncio_servers.py")

CASES["ruby_processes"] = Case(["ruby"], "ruby $INPUTS/processes.rb")

CASES["node_processes"] = Case(["node"], "node $INPUTS/processes.js", timeout=90)

# The loader ignores the preloaded library in a set-user-ID program; the run must not notice.
CASES["set_user_id"] = Case(["setpriv"], r"""
if [ "$(id -u)" != 0 ]; then echo "only root can make a program of another user"; exit 77; fi
chmod 711 .
cp /usr/bin/id /bin/cat /usr/bin/wc .
chown daemon id cat; chmod 4755 id cat
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
if [ "$(as_nobody ./id -u -n)" != daemon ]; then echo "the folder is mounted nosuid"; exit 77; fi
as_nobody ./id -u -n
as_nobody ./cat /proc/self/maps | grep -c spanmalloc || true
as_nobody sh -c './id -un; ./id -run; true'
as_nobody env SPANMALLOC_OPTIONS=help:stats=1:trace=1 ./id -un
""")
