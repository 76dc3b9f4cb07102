-- Everything that a query can be.

-- name: add_author :execlastid
-- param :born int?
INSERT INTO author (name, born) VALUES (:name, :born);

-- name: rename_author :exec
UPDATE author SET name = :name WHERE id = :id;

-- name: add_book :execlastid
-- param :note text?
-- param :cover blob?
INSERT INTO book (author, title, price, cover, note)
VALUES (:author, :title, :price, :cover, :note);

-- name: book :one
SELECT book.*, author.name FROM book JOIN author ON author.id = book.author WHERE book.id = :id;

-- Cheap ones first; 'quotes', "names" and ? in comments do no harm.
-- name: cheap_books :many
SELECT title, price /* in Euro */, note -- may be NULL
FROM book WHERE price < :limit AND title <> 'a; b' ORDER BY price;

-- name: raise_prices :execrows
UPDATE book SET price = price * :factor WHERE price < :limit;

-- name: authors :many
SELECT a.name, a.born, count(b.id) AS books, max(b.price) AS dearest
FROM author a LEFT JOIN book b ON b.author = a.id
GROUP BY a.id ORDER BY a.name;

-- name: remove_book :one
DELETE FROM book WHERE id = :id RETURNING title;
