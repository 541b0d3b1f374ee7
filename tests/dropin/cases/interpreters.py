"""Interpreters and virtual machines."""
from cases.case import Case, PYTHON

CASES = {}

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
