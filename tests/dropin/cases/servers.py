"""Databases and servers."""
from cases.case import Case, PYTHON, Weight

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

CASES["memcached"] = Case(["memcached", PYTHON], rf"""
memcached -s "$PWD/socket" -m 64 -t 4 -o slab_reassign,lru_crawler,no_modern &
server=$!
trap 'kill $server' EXIT
{PYTHON} $INPUTS/memcached_client.py socket
trap - EXIT
kill $server
wait $server || true
""", weight=Weight.HEAVY, user="nobody")

# Workers are replaced again and again while clients load pages.
CASES["nginx"] = Case(["nginx", PYTHON], rf"""
mkdir logs pages
for i in $(seq 50); do seq $((i * 500)) > pages/$i.txt; done
cat > nginx.conf <<END
daemon off;
worker_processes 2;
user root;
pid $PWD/pid;
error_log $PWD/logs/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log $PWD/logs/access.log;
  client_body_temp_path $PWD/b; proxy_temp_path $PWD/p; fastcgi_temp_path $PWD/f;
  uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/s;
  gzip on; gzip_types text/plain; gzip_min_length 100;
  upstream self {{ server unix:$PWD/socket; keepalive 4; }}
  server {{
    listen unix:$PWD/socket;
    root $PWD/pages;
    location /again/ {{ proxy_pass http://self/; }}
    location /answer {{ return 200 "\$request_uri \$arg_x"; }}
  }}
}}
END
if [ "$(id -u)" != 0 ]; then sed -i '/^user/d' nginx.conf; fi
nginx -p "$PWD" -c "$PWD/nginx.conf" &
server=$!
trap 'kill $server' EXIT
{PYTHON} $INPUTS/nginx_client.py socket $server
trap - EXIT
kill -QUIT $server
wait $server
grep -cE 'alert|emerg|signal' logs/error.log || true
""", weight=Weight.HEAVY, timeout=90)

CASES["postgresql"] = Case(["/usr/lib/postgresql/15/bin/initdb"], r"""
export PATH=/usr/lib/postgresql/15/bin:$PATH
initdb -D data -A trust -U tester --no-sync > initdb.log
postgres -D data -c listen_addresses= -c unix_socket_directories="$PWD" -c fsync=off \
  -c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0 -c jit=on \
  -c jit_above_cost=0 -c parallel_setup_cost=0 > postgres.log 2>&1 &
server=$!
trap 'kill -QUIT $server' EXIT
export PGHOST=$PWD PGUSER=tester PGDATABASE=postgres
for i in $(seq 200); do if psql -qc 'select 1' > /dev/null 2>&1; then break; fi; sleep 0.1; done
pgbench -q -i -s 2 2> /dev/null
pgbench -c 4 -j 2 -t 100 > bench.log 2>&1 && grep 'actually processed' bench.log
pgbench -c 2 -j 2 -t 10 -C -M prepared > bench.log 2>&1 && grep 'actually processed' bench.log
psql -qAt <<'END'
select count(*), sum(aid) from pgbench_accounts where aid % 7 = 3;
create table t as select i, md5(i::text) m, repeat('x', i % 300) r from generate_series(1, 50000) i;
create index on t(m);
select count(*), min(m), max(length(r)) from t where m like 'a%';
select string_agg(m, ',' order by m) from (select m from t order by m limit 5) s;
select count(*) from t a join t b on a.m = b.m where a.i < 20000;
do $$ begin for i in 1 .. 3000 loop perform md5(i::text || 'x'); end loop; end $$;
select jsonb_array_length(jsonb_agg(jsonb_build_object('i', i, 'm', m))) from t;
delete from t where i % 3 = 0;
vacuum full analyze t;
select count(*), regexp_replace(max(m), '[0-9]', '', 'g') from t;
END
pg_dump -t t | grep -v '^--' | grep -vi restrict | md5sum
trap - EXIT
kill -INT $server
wait $server
! grep -E 'PANIC|terminated by signal|spanmalloc' postgres.log
""", weight=Weight.HEAVY, timeout=150, user="nobody")

CASES["mariadb"] = Case(["mariadbd", "mariadb-install-db", "mariadb-slap"], r"""
mariadb-install-db --datadir="$PWD/data" --auth-root-authentication-method=normal \
  --skip-test-db > install.log 2>&1
mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/socket" --skip-networking \
  --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 --pid-file="$PWD/pid" \
  --thread-handling=pool-of-threads > server.log 2>&1 &
server=$!
trap 'kill -KILL $server' EXIT
client() { mariadb --no-defaults --socket="$PWD/socket" -u root -N "$@"; }
for i in $(seq 200); do if client -e 'select 1' > /dev/null 2>&1; then break; fi; sleep 0.1; done
mariadb-slap --no-defaults --socket="$PWD/socket" -u root --auto-generate-sql --concurrency=8 \
  --number-of-queries=800 --auto-generate-sql-load-type=mixed | grep -c Benchmark
client <<'END'
create database d; use d;
create table t(i int primary key, m varchar(64), b longblob, key(m)) engine=innodb;
insert into t select seq, md5(seq), repeat('x', seq % 2000) from seq_1_to_20000;
select count(*), min(m), max(length(b)) from t where m like 'a%';
select count(*) from t a join t b on a.m = b.m;
select md5(group_concat(m order by m)) from t where i < 2000;
update t set b = concat(b, b) where i % 5 = 0;
alter table t engine=aria;
delete from t where i % 3 = 0;
check table t;
select sum(length(b)), count(*) from t;
END
trap - EXIT
kill $server
wait $server
! grep -E 'signal [0-9]|Assertion|spanmalloc' server.log
""", weight=Weight.HEAVY, timeout=150, user="nobody")
