-- name: left_join :many
SELECT p.id, p.name, q.title, q.id AS post, q.score FROM person p LEFT JOIN post q ON q.author = p.id WHERE p.name = :name;
-- name: self :many
SELECT a.name, b.name AS other FROM person a, person b WHERE a.id < b.id AND b.age BETWEEN :low AND :high;
-- name: agg :one
SELECT count(*) AS n, max(at) AS last, avg(score) AS mean, sum(score) AS total, coalesce(max(at), 0) AS last0 FROM post WHERE author = :author;
-- name: grp :many
SELECT author, count(*) AS n, max(at) AS last, group_concat(title, ', ') AS titles FROM post GROUP BY author HAVING count(*) > :least ORDER BY n;
-- name: bare :one
SELECT id, count(*) AS n FROM post;
-- name: viewed :many
SELECT * FROM posts WHERE author LIKE :pattern OR email = :mail;
-- name: full :many
SELECT rowid AS id, title, snippet(search, 1, '<b>', '</b>', '...', 10) AS snip FROM search WHERE search MATCH :q ORDER BY rank LIMIT :n OFFSET :o;
-- name: add :execlastid
INSERT INTO person (name, email, age, weight, photo) VALUES (:name, lower(:email), :age, :weight, :photo);
-- name: upsert :one
INSERT INTO person (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = excluded.name, age = :age RETURNING id, name AS nn, age;
-- name: upd :execrows
UPDATE post SET (title, body) = (:title, :body), score = score + :delta WHERE id = :id AND (author, at) > (:author, :at);
-- name: del :execrows
DELETE FROM post WHERE id IN (:a, :b, :c) OR author IN (SELECT id FROM person WHERE name = :name);
-- name: sel :exec
INSERT INTO post (author, title, body, at) SELECT id, :title, :body, unixepoch() FROM person WHERE age >= :age;
-- name: opt :many
-- param :mail text?
SELECT id, CASE WHEN age > 17 THEN 'adult' ELSE 'child' END AS kind, age IS NULL AS unknown_age, name || '!' AS loud, email || 'x' AS e2, -age AS neg, age * 2 AS twice, weight / 2 AS half,
 EXISTS (SELECT 1 FROM post WHERE author = person.id) AS writes, (SELECT count(*) FROM post WHERE author = person.id) AS posts, (SELECT title FROM post WHERE author = person.id) AS one
FROM person WHERE :mail IS NULL OR email = :mail;
-- name: cte :many
WITH recent AS (SELECT * FROM post WHERE at > :since) SELECT title, length(body) AS len FROM recent WHERE score > :score;
-- name: uni :many
SELECT name FROM person UNION SELECT title FROM post;
-- name: win :many
SELECT id, row_number() OVER (ORDER BY at) AS pos, lag(title) OVER (ORDER BY at) AS prev FROM post;
-- name: ret :one
DELETE FROM post WHERE id = :id RETURNING *;
-- name: casts :one
SELECT CAST(:x AS INTEGER) + 1 AS y, CAST(born AS TEXT) AS born FROM person WHERE id = :id;
-- name: js :many
SELECT p.id FROM person p, json_each(:ids) j WHERE p.id = j.value AND substr(name, 1, :len) = :pre;
-- name: outer_view :many
SELECT id, name, title, at + 1 AS next, length(title) AS len FROM with_last WHERE at > :at;
-- name: outer_subquery :many
-- column last real?
SELECT p.name, s.last FROM person p LEFT JOIN (SELECT author, max(at) AS at, max(score) AS last FROM post GROUP BY author) s ON s.author = p.id;
-- name: hidden :many
-- column at int?
SELECT s.at FROM (SELECT max(at) AS at FROM post) s;
-- name: right_join :many
SELECT q.title, p.name FROM post q RIGHT JOIN person p ON p.id = q.author;
-- name: setting :one
SELECT key, CAST(value AS REAL) AS value FROM setting WHERE key = :key;
-- name: put_setting :exec
-- param :value real
INSERT OR REPLACE INTO setting VALUES (:key, :value);
-- name: odd :many
SELECT "a column" AS text, other FROM "odd name" WHERE [a column] = :text AND `other` > :other;
-- name: add_odd :exec
INSERT INTO "odd name" VALUES (:text);
-- name: arithmetic :many
SELECT id % 10 AS digit, age + :more AS older, :scale * weight AS scaled, NOT age AS no, age BETWEEN 1 AND 2 AS young, name LIKE 'a%' AS a, (age) AS age FROM person
WHERE age NOT BETWEEN :low AND :high AND (weight, id) > (:weight, :id) AND name NOT IN (:one, 'x', (:two)) AND :flag;
-- name: defaults :one
SELECT coalesce(email, :otherwise) AS mail, ifnull(age, 0) AS age, nullif(name, '') AS name, iif(age > 3, 'a', NULL) AS letter, min(age, 5) AS small, round(weight, 1) AS weight, substr(name, 1, 1) AS initial,
 replace(name, :from, :to) AS replaced, date('now') AS today, unixepoch() AS now, printf('%d', age) AS shown FROM person WHERE id = :id;
-- name: batch :exec
INSERT INTO post (author, title, body, at) VALUES (:author, :t1, '', 0), (:author, upper(:t2), :b2, :at2 + 1);
-- name: members :many
WITH RECURSIVE up(id, depth) AS (SELECT id, 0 FROM person WHERE id = :id UNION ALL SELECT p.author, depth + 1 FROM up, post p WHERE p.id = up.id AND depth < 10)
SELECT p.name, p.email FROM up JOIN person p ON p.id = up.id;
-- name: cases :many
SELECT CASE name WHEN 'a' THEN 1 WHEN 'b' THEN 2.5 ELSE 0 END AS n, CASE WHEN age THEN name END AS named, x'00' AS zero, -1 AS minus, 1.5e3 AS big, 0x10 AS hex, NULL IS NULL AS yes, 'it''s' AS text FROM person WHERE photo = :photo;
-- name: touch :execrows
UPDATE post SET at = :now, title = CASE WHEN :rename THEN :title ELSE title END FROM person WHERE person.id = post.author AND person.email IS NOT :mail;
-- name: united :many
SELECT x, id FROM (SELECT name AS x, id FROM person UNION ALL SELECT email, id FROM person);
-- name: inner_aggregate :many
SELECT m.id, p.name FROM (SELECT id, max(at) AS last FROM post) m, person p;
