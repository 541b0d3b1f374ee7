-- A small shop: rows, indices, joins, sorts, text search, updates and deletions. The parameter
-- :customers says how large it is.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, city TEXT, note TEXT);
CREATE TABLE purchase(id INTEGER PRIMARY KEY, customer INTEGER, item TEXT, cents INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
    WHERE i < coalesce(:customers, 60000))
INSERT INTO customer SELECT i, printf('customer %d %x', i, (i * 2654435761) % 4294967296),
    printf('city %d', (i * 7919) % 500), substr(hex(zeroblob(200)), 1, 10 + i % 300) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
    WHERE i < coalesce(:customers, 60000) * 4)
INSERT INTO purchase SELECT i, 1 + (i * 48271) % coalesce(:customers, 60000),
    printf('item %x', (i * 69621) % 65536), (i * 16807) % 100000 FROM n;
COMMIT;
CREATE INDEX purchase_customer ON purchase(customer);
CREATE INDEX purchase_item ON purchase(item, cents);
CREATE INDEX customer_city ON customer(city, name);
SELECT city, count(*), sum(cents) FROM customer JOIN purchase ON purchase.customer = customer.id
    GROUP BY city ORDER BY sum(cents) DESC, city LIMIT 3;
SELECT count(*), max(name) FROM (SELECT name FROM customer ORDER BY note, name DESC);
SELECT count(DISTINCT item), group_concat(cents) IS NULL FROM purchase WHERE item LIKE '%f%';
UPDATE customer SET note = name || note || city WHERE id % 3 = 0;
DELETE FROM purchase WHERE cents % 4 = 1;
SELECT length(group_concat(item, ',')) FROM (SELECT item FROM purchase ORDER BY cents, id);
SELECT count(*), sum(length(note)) FROM customer;
