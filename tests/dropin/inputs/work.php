<?php
// Arrays, strings, generators, regular expressions and children; prints what does not change.
function churn(int $seed): int {
    $kept = [];
    for ($i = 0; $i < 50000; $i++) {
        $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
        $kept[$seed % 997] = str_repeat('x', $seed % 700);
    }
    return array_sum(array_map('strlen', $kept));
}
function numbers(int $n) { for ($i = 0; $i < $n; $i++) yield $i => [$i, "n$i"]; }
echo churn(1), ' ', churn(2), "\n";
$all = iterator_to_array(numbers(30000));
usort($all, fn($a, $b) => ($a[0] * 7919 % 30011) <=> ($b[0] * 7919 % 30011));
$text = json_encode($all);
echo md5($text), ' ', count(json_decode($text)), ' ', preg_match_all('/\d+7"/', $text), "\n";
echo strlen(serialize($all)), ' ', count(unserialize(serialize($all))), "\n";
class Node { public $other; public $data; }
for ($i = 0; $i < 30000; $i++) {
    $a = new Node; $b = new Node; $a->other = $b; $b->other = $a;
    $a->data = str_repeat('y', $i % 100);
}
echo gc_collect_cycles() >= 0 ? "collected\n" : '';
echo shell_exec('echo child');
try { (function () { throw new Exception(str_repeat('z', 1000)); })(); }
catch (Exception $e) { echo strlen($e->getMessage()), "\n"; }
