"""Compilers and tools for programmers."""
from cases.case import Case, HEXADECIMAL

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
