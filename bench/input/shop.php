<?php
// Pages of a shop as a web application makes them: rows into objects and arrays, templates filled,
// JSON written and read again.  usage: shop.php <pages>
mt_srand(4);

final class Product
{
    public function __construct(public int $id, public string $name, public array $tags,
        public ?Product $similar = null) {}
}

$products = [];
for ($id = 0; $id < 20000; $id++) {
    $products[$id] = new Product($id, "product " . mt_rand(0, 99999),
        ["tag" . mt_rand(0, 300), "tag" . mt_rand(0, 300)], $products[intdiv($id, 2)] ?? null);
}
$sessions = [];
$bytes = 0;
$counts = [];
for ($page = 0; $page < (int) $argv[1]; $page++) {
    $session = "session" . mt_rand(0, 3000);
    $sessions[$session][] = ["page" => $page, "items" => array_map(
        fn($unused) => mt_rand(0, 19999), range(1, mt_rand(1, 12)))];
    if (count($sessions[$session]) > 6) {
        unset($sessions[$session]);
        continue;
    }
    $rows = "";
    foreach ($sessions[$session] as $view) {
        foreach ($view["items"] as $id) {
            $product = $products[$id];
            $rows .= sprintf("<tr><td>%s</td><td>%s</td></tr>\n", htmlspecialchars($product->name),
                implode(", ", $product->tags));
            $counts[$product->tags[0]] = ($counts[$product->tags[0]] ?? 0) + 1;
        }
    }
    $html = str_replace(["{session}", "{rows}"], [$session, $rows],
        "<html><body><h1>{session}</h1><table>{rows}</table></body></html>");
    $copy = json_decode(json_encode(["html" => $html, "views" => $sessions[$session]]), true);
    $bytes += strlen($copy["html"]) + preg_match_all('/tag(\d)\d*/', $copy["html"]);
}
ksort($counts);
echo count($sessions), " ", $bytes, " ", md5(json_encode($counts)), "\n";
