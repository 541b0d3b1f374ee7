"""Parts of interpreters' own tests, and the virtual machines of further languages."""
from cases.case import Case, PYTHON, Weight

CASES = {}

PYTHON_TESTS = "/usr/lib/python3.11/test/test_threading.py"


def python_tests(modules, timeout):
    """Parts of Python's own test suite, in one process, so that each runs in the others' heap."""
    return Case([PYTHON, PYTHON_TESTS], rf"""
{PYTHON} -X faulthandler -m test --timeout 120 -u none {modules} > log 2>&1 || cat log
grep -E '^(Tests result|Result):|failed|skipped|OK' log || true
""", [(r"in [0-9.]+ s.*", "")], weight=Weight.HEAVY, timeout=timeout)


CASES["python3_tests_objects"] = python_tests(
    "test_list test_dict test_set test_bytes test_array test_unicode test_memoryview test_buffer "
    "test_gc test_weakref test_deque test_json test_pickle test_re test_struct test_zlib "
    "test_mmap test_long test_decimal test_xml_etree test_generators", 400)

CASES["python3_tests_threads"] = python_tests(
    "test_threading test_thread test_queue test_threading_local test_threadsignals test_signal "
    "test_fork1 test_wait3 test_wait4 test_popen test_posix test_atexit test_faulthandler", 400)

CASES["python3_tests_extensions"] = python_tests(
    "test_ctypes test_hashlib test_ssl test_lzma test_bz2 test_exceptions "
    "test_memoryio", 400)

CASES["python3_tests_processes"] = python_tests(
    "test_subprocess test_multiprocessing_main_handling test_popen", 400)

CASES["numpy"] = Case([PYTHON, "/usr/lib/python3/dist-packages/numpy"], rf"""
OPENBLAS_NUM_THREADS=4 {PYTHON} $INPUTS/arrays.py
""", weight=Weight.HEAVY, timeout=120)

CASES["java_collectors"] = Case(["java", "javac"], r"""
cp $INPUTS/Work.java .
javac Work.java
for collector in Serial Parallel G1 Z Shenandoah; do
  if java -XX:+Use${collector}GC -version > /dev/null 2>&1; then
    echo $collector; java -XX:+Use${collector}GC -Xmx200m Work
  fi
done
java -Xint -Xmx100m -XX:NativeMemoryTracking=summary Work
java -Xcomp -Xmx100m Work
""", weight=Weight.HEAVY, timeout=200)

# Without its shared modules (-n): they are opened with RTLD_DEEPBIND, which binds their free to the
# C library's although malloc's blocks come from elsewhere. Under jemalloc, mimalloc and tcmalloc
# php ends with a segmentation fault at the first of them as well.
CASES["php"] = Case(["php"], r"""
php -n $INPUTS/work.php
USE_ZEND_ALLOC=0 php -n $INPUTS/work.php
""", weight=Weight.HEAVY)

CASES["r"] = Case(["Rscript"], r"""
cat > p.R <<'END'
set.seed(7)
m <- matrix(runif(90000), 300)
cat(round(sum(solve(m) %*% m), 4), round(sum(svd(m[1:60, 1:60])$d), 3), "\n")
l <- lapply(1:20000, function(i) list(i, paste0("text", i %% 97)))
t <- table(vapply(l, function(x) x[[2]], ""))
cat(length(t), max(t), "\n")
d <- data.frame(g = rep(1:50, 2000), x = rnorm(100000))
print(head(aggregate(x ~ g, d, length)))
cat(sum(unlist(parallel::mclapply(1:6, function(i) length(sort(runif(1e5))), mc.cores = 3))), "\n")
cat(nchar(paste(gsub("[aeiou]", "*", rep(letters, 5000)), collapse = "")), "\n")
invisible(gc())
cat(names(coef(lm(x ~ g, d))), "\n")
END
Rscript --vanilla p.R
""", weight=Weight.HEAVY, timeout=90)

# Its collector scans data and stacks for what looks like an address.
CASES["guile"] = Case(["guile"], r"""
cat > p.scm <<'END'
(use-modules (ice-9 threads) (srfi srfi-1))
(define (churn n)
  (let ((table (make-hash-table)))
    (do ((i 0 (+ i 1))) ((= i 30000) (hash-count (const #t) table))
      (hash-set! table (modulo (* i n) 997) (make-string (modulo i 300) #\y)))))
(display (par-map churn (iota 6 1))) (newline)
(display (string-length (number->string (expt 7 20000)))) (newline)
(display (fold + 0 (map length (map iota (iota 500))))) (newline)
(gc) (gc)
(display (length (sort (map (lambda (i) (modulo (* i 7919) 10007)) (iota 20000)) <))) (newline)
END
guile --no-auto-compile p.scm
""", weight=Weight.HEAVY)

CASES["sbcl"] = Case(["sbcl"], r"""
cat > p.lisp <<'END'
(defun churn (n)
  (let ((table (make-hash-table :test 'equal)))
    (dotimes (i 50000) (setf (gethash (format nil "~a" (mod (* i n) 997)) table) (make-string 50)))
    (hash-table-count table)))
(compile 'churn)
(print (mapcar #'sb-thread:join-thread
               (loop for i from 1 to 4
                     collect (let ((i i)) (sb-thread:make-thread (lambda () (churn i)))))))
(gc :full t)
(print (integer-length (expt 7 30000)))
(let ((block (sb-alien:make-alien (sb-alien:unsigned 8) 100000)))
  (setf (sb-alien:deref block 99999) 7)
  (print (sb-alien:deref block 99999))
  (sb-alien:free-alien block))
(print (length (with-output-to-string (s)
                 (sb-ext:run-program "/bin/echo" '("child") :output s))))
END
sbcl --script p.lisp
""", weight=Weight.HEAVY)

CASES["erlang"] = Case(["erl", "erlc"], r"""
cat > work.erl <<'END'
-module(work).
-export([main/0]).
churn(N) -> length(lists:usort([erlang:phash2({N, I}, 5000) || I <- lists:seq(1, 20000)])).
main() ->
  Self = self(),
  Pids = [spawn(fun() -> Self ! {self(), churn(I)} end) || I <- lists:seq(1, 40)],
  io:format("~p~n", [lists:sum([receive {P, N} -> N end || P <- Pids])]),
  Table = ets:new(t, [public, ordered_set]),
  [ets:insert(Table, {I * 7919 rem 10007, binary:copy(<<"x">>, I rem 500)})
   || I <- lists:seq(1, 20000)],
  io:format("~p ~p~n", [ets:info(Table, size),
                        lists:sum([byte_size(B) || {_, B} <- ets:tab2list(Table)])]),
  io:format("~p~n", [erlang:crc32(zlib:gunzip(zlib:gzip(binary:copy(<<"abc">>, 300000))))]),
  io:format("~s", [os:cmd("echo child")]),
  halt(0).
END
erlc work.erl
erl -noshell -noinput +S 4 -s work main
erl -noshell -noinput +Mea min -s work main
""", weight=Weight.HEAVY, timeout=90)

CASES["ocaml"] = Case(["ocaml"], r"""
cat > p.ml <<'END'
let churn n =
  let table = Hashtbl.create 10 in
  for i = 0 to 50000 do
    Hashtbl.replace table (i * n mod 997) (String.make (i mod 700) 'x')
  done;
  Hashtbl.fold (fun _ s sum -> sum + String.length s) table 0
let () =
  List.iter (fun n -> Printf.printf "%d " (churn n)) [1; 2; 3];
  let arrays = List.init 300 (fun i -> Array.make (i * 100) 0.5) in
  Gc.compact ();
  Printf.printf "%d\n" (List.fold_left (fun s a -> s + Array.length a) 0 arrays);
  Gc.set { (Gc.get ()) with Gc.allocation_policy = 0; Gc.max_overhead = 0 };
  Printf.printf "%d\n" (churn 5)
END
ocaml p.ml
if command -v ocamlopt > /dev/null; then ocamlopt -o p p.ml 2> /dev/null && ./p; fi
""", weight=Weight.HEAVY)

CASES["emacs"] = Case(["emacs"], r"""
cat > p.el <<'END'
;;; -*- lexical-binding: t -*-
(require 'cl-lib)
(require 'org)
(defun churn (n)
  (let ((table (make-hash-table :test 'equal)))
    (dotimes (i 20000) (puthash (format "%d" (mod (* i n) 997)) (make-string (mod i 300) ?x) table))
    (hash-table-count table)))
(princ (format "%s\n" (mapcar #'churn '(1 2 3))))
(with-temp-buffer
  (dotimes (i 5000) (insert (format "line %d of text\n" (mod (* i 7919) 5003))))
  (sort-lines nil (point-min) (point-max))
  (goto-char (point-min))
  (while (re-search-forward "7 of" nil t) (replace-match "seven of"))
  (princ (format "%s\n" (md5 (buffer-string)))))
(garbage-collect)
(thread-join (make-thread (lambda () (churn 5))))
(princ (shell-command-to-string "echo child"))
(with-temp-buffer
  (org-mode)
  (insert "* a\n** b\n| 1 | 2 |\n")
  (org-table-align)
  (princ (buffer-string)))
END
emacs -Q --batch -l ./p.el
emacs -Q --batch -f batch-byte-compile p.el 2> /dev/null && emacs -Q --batch -l ./p.elc | md5sum
""", weight=Weight.HEAVY, timeout=90)

CASES["tcl"] = Case(["tclsh"], r"""
cat > p.tcl <<'END'
set sum 0
for {set i 0} {$i < 50000} {incr i} {
  dict set d [expr {$i * 7919 % 997}] [string repeat x [expr {$i % 300}]]
  lappend l "item [expr {$i % 101}]"
}
dict for {k v} $d { incr sum [string length $v] }
puts "$sum [llength [lsort -unique $l]] [regexp -all {7} $l] [string length [expr {7**5000}]]"
for {set i 0} {$i < 50} {incr i} { interp create i$i; i$i eval {set x [lrepeat 1000 y]} }
for {set i 0} {$i < 50} {incr i 2} { interp delete i$i }
puts [exec echo child]
END
tclsh p.tcl
""", weight=Weight.HEAVY)
