"""Compilers and tools for programmers."""
from cases.case import Case, HEXADECIMAL, PYTHON, Weight

CASES = {}

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
sed 's/^[0-9]* *//' trace | sort
strace -f -c -o summary sh -c 'for i in 1 2 3 4 5; do true | cat; done'
grep -c total summary
""", [(r"^ *\d+ +", "")])

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

CASES["rust"] = Case(["/usr/bin/rustc"], r"""
/usr/bin/rustc -O -C codegen-units=4 $INPUTS/work.rs -o work
./work
/usr/bin/rustc --crate-type lib --emit metadata -D warnings - 2>&1 <<'END' | head -n 3 || true
pub fn broken() -> u32 { "text" }
END
""", weight=Weight.HEAVY, timeout=120)

# A program with cgo: the C library's malloc is called from Go's threads and signal handlers.
CASES["go_cgo"] = Case(["/usr/bin/go", "gcc"], r"""
export GOCACHE=$PWD/cache GOPATH=$PWD/path GOFLAGS=-mod=mod GO111MODULE=off CGO_ENABLED=1
cp $INPUTS/work.go .
go build -o work work.go
./work
GOGC=1 GODEBUG=asyncpreemptoff=0 GOMAXPROCS=8 ./work
go vet work.go
""", weight=Weight.HEAVY, timeout=240)

CASES["gcc_lto"] = Case(["g++", "make"], r"""
for i in $(seq 10); do
  cat > part$i.cc <<END
#include <map>
#include <string>
#include <vector>
int part$i(int n) {
  std::map<std::string, std::vector<int>> table;
  for (int i = 0; i < n; ++i) table[std::to_string(i * $i % 17)].push_back(i);
  int sum = 0;
  for (const auto& [name, list] : table) sum += static_cast<int>(name.size() * list.size());
  return sum + $i;
}
END
done
{
  echo '#include <cstdio>'
  for i in $(seq 10); do echo "int part$i(int);"; done
  echo 'int main() { int sum = 0;'
  for i in $(seq 10); do echo "sum += part$i($i * 10);"; done
  echo 'std::printf("%d\n", sum); }'
} > main.cc
cat > Makefile <<'END'
flags := -std=c++20 -O2 -flto -fno-ident -frandom-seed=1
all: $(patsubst %.cc,%.o,$(sort $(wildcard *.cc)))
	@g++ $(flags) -flto=4 -Wl,--build-id=none -o all $^
%.o: %.cc
	@g++ $(flags) -c $< -o $@
END
make -j4
./all
md5sum < all
""", weight=Weight.HEAVY, timeout=180)

CASES["clang_linkers"] = Case(["clang++", "ld.lld"], r"""
clang++ -std=c++20 -O2 -g -flto=thin -fuse-ld=lld -Wl,--thinlto-jobs=4,--build-id=none   $INPUTS/heavy.cc -o heavy -pthread
./heavy
clang++ -std=c++20 -O1 -g -c $INPUTS/heavy.cc -o heavy.o -fdebug-prefix-map=$INPUTS=.
ld.lld -r --threads=4 heavy.o -o again.o; md5sum < again.o
clang++ --analyze -Xclang -analyzer-output=text -std=c++20 $INPUTS/heavy.cc
""", weight=Weight.HEAVY, timeout=180)

# The tool's own process is static; the library is in the program that it runs, and is either
# watched as any code is or replaced by the tool's malloc.
CASES["valgrind"] = Case(["valgrind", "gcc", "/usr/bin/python3"], r"""
cat > p.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
  char *kept[1000];
  for (int i = 0; i < 1000; i++) { kept[i] = malloc(i + 1); memset(kept[i], 'a', i + 1); }
  for (int i = 0; i < 1000; i += 2) { free(kept[i]); kept[i] = calloc(1, i + 1); }
  long sum = 0;
  for (int i = 0; i < 1000; i++) { sum += kept[i][i]; kept[i] = realloc(kept[i], 3000); }
  for (int i = 0; i < 1000; i++) free(kept[i]);
  printf("%ld\n", sum);
  return 0;
}
END
gcc -g -O1 p.c -o p
for tool in none memcheck helgrind cachegrind massif; do valgrind --tool=$tool ./p 2> log; done
valgrind -q --soname-synonyms='somalloc=*spanmalloc*' --error-exitcode=9 --leak-check=full ./p
valgrind -q --tool=none /usr/bin/python3 -c 'print(sum(len("x" * i) for i in range(3000)))'
""", weight=Weight.HEAVY, timeout=120)

CASES["gdb_threads"] = Case(["gdb", "g++", "/usr/bin/python3"], r"""
gdb -nx --batch -ex 'break exit' -ex run true 2>&1 | grep -q '^Breakpoint 1, ' || exit 77
cat > p.cc <<'END'
#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>
#include <sys/wait.h>
std::map<int, std::string> table;
int stop_here(int n) { return n + 1; }
int main() {
  for (int i = 0; i < 100; ++i) table[i] = std::string(i, 'x');
  for (int i = 0; i < 5; ++i) {
    std::thread t([] { std::vector<int> v(1000, 1); });
    t.join();
    std::printf("%d\n", stop_here(i));
  }
  pid_t child = fork();
  if (child == 0) { table.clear(); _exit(stop_here(3)); }
  waitpid(child, nullptr, 0);
}
END
g++ -g -O0 p.cc -o p -pthread
gdb -nx --batch -ex 'set detach-on-fork on' -ex 'break stop_here' -ex run -ex 'print table.size()' \
  -ex 'python print(sum(len("x" * i) for i in range(1000)))' -ex delete -ex 'call stop_here(7)' \
  -ex 'catch fork' -ex continue -ex 'info functions stop_here' -ex delete -ex continue ./p 2>&1 |
  grep -vE '^\[|^warning|process [0-9]+|^$'
gdb -nx --batch -ex 'info scope main' -ex 'list stop_here' \
  -ex 'info line stop_here' ./p 2>&1 | md5sum
""", [HEXADECIMAL], weight=Weight.HEAVY, timeout=90)

CASES["qemu_user"] = Case(["/usr/bin/qemu-x86_64", PYTHON], rf"""
qemu-x86_64 -E LD_PRELOAD= /usr/bin/gawk 'BEGIN {{ for (i = 0; i < 99999; i++) s += i % 7; print s }}'
qemu-x86_64 -E LD_PRELOAD= {PYTHON} -c '
import threading
results = [0] * 4
def work(i): results[i] = sum(len("x" * n) for n in range(2000 + i))
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(results)'
qemu-x86_64 /usr/bin/gawk 'BEGIN {{ for (i = 0; i < 9999; i++) a[i] = i "x"; print length(a) }}'
""", weight=Weight.HEAVY, timeout=120)

CASES["stress_ng"] = Case(["stress-ng"], r"""
stress() { stress-ng --quiet --verify --timeout 30 "$@" && echo "${*: -2:1} fine"; }
stress --malloc-bytes 64m --malloc 2 --malloc-ops 3000
stress --malloc-bytes 64m --malloc-pthreads 4 --malloc 1 --malloc-ops 3000
stress --fork 2 --fork-ops 200
stress --vfork 2 --vfork-ops 200
stress --clone 2 --clone-ops 200
stress --pthread 2 --pthread-ops 60
stress --dynlib 2 --dynlib-ops 30
stress --tree 1 --tree-ops 2
stress --hsearch 1 --hsearch-ops 20
""", weight=Weight.HEAVY, timeout=240)
