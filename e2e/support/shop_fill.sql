-- Fills the shop of e2e/mixed.sh, on the host. For the tables see shop/migrations.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
	INSERT INTO account SELECT i, printf('account %d of %d', i * 7919 % 20011, i), 1000, 1000 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
	INSERT INTO purchase SELECT i, 1 + i * 7919 % 20000, printf('tag%d', i * 31 % 97),
		printf('tag%d purchase w%d, to be sent by w%d to w%d at w%d', i * 31 % 97, i % 1009, i % 4001, i % 503, i % 701), 0 FROM n;
INSERT INTO item SELECT p.id, l.value, 1 + (p.id * 31 + l.value * 17) % 500, 1 + (p.id + l.value) % 5
	FROM purchase p, generate_series(1, 1 + p.id % 7) l;
UPDATE purchase SET total = (SELECT sum(price * count) FROM item WHERE purchase = purchase.id);
INSERT INTO search (rowid, note) SELECT id, note FROM purchase;
INSERT INTO paper SELECT id, s, r, CAST(replace(hex(zeroblob(r)), '00', printf('%08x', s)) AS BLOB)
	FROM (SELECT id, id * 2654435761 % 4294967296 AS s, 100 + id * 13 % 1000 AS r FROM purchase);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
	INSERT INTO history SELECT i, 0, printf('%0400d', i * 104729) FROM n;
UPDATE fact SET value = (SELECT count(*) FROM history) WHERE name = 'history';
COMMIT;
