-- The catalogue in the order of the years, from book :id of :year on.
-- name: books_from :many
SELECT slug, title, author, author_slug, dated, language, subject
FROM entry
WHERE (year, id) >= (:year, :id)
ORDER BY year, id
LIMIT :count;

-- The book with which the next page begins.
-- name: next_page :one
SELECT year, id
FROM book
WHERE (year, id) >= (:year, :id)
ORDER BY year, id
LIMIT 1 OFFSET :count;

-- name: book_count :one
-- column books int
SELECT count(*) AS books FROM book;

-- name: book :one
SELECT slug, title, original, author, author_slug, year, dated, language, subject, opening
FROM entry
WHERE slug = :slug;

-- name: author :one
-- column lived text
SELECT name, CASE
	WHEN born IS NULL AND died IS NULL THEN ''
	WHEN born IS NULL THEN 'died ' || iif(died < 0, -died || ' BC', died)
	WHEN died IS NULL THEN 'born ' || iif(born < 0, -born || ' BC', born)
	ELSE iif(born < 0, -born || iif(died < 0, '', ' BC'), born) || '–' || iif(died < 0, -died || ' BC', died)
	END AS lived
FROM author
WHERE slug = :slug;

-- name: books_of :many
SELECT slug, title, dated, language, subject
FROM entry
WHERE author_slug = :author
ORDER BY year, id;

-- The books that came last.
-- name: newest_books :many
-- column added text
SELECT slug, title, author, dated, subject, opening,
	strftime('%Y-%m-%dT%H:%M:%SZ', added_at, 'unixepoch') AS added
FROM entry
ORDER BY id DESC
LIMIT :count;

-- name: last_added :one
-- column at text
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', max(added_at), 'unixepoch') AS at FROM book;
