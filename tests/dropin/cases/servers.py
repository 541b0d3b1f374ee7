"""Databases and servers."""
from cases.case import Case

CASES = {}

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
