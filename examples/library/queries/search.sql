-- The books in which all :words are found, the best first: a word in the title counts more than one in the first sentence.
-- What was found stands between the characters 2 and 3.
-- name: found_books :many
-- param :words text
-- column title text
-- column original text
-- column author text
-- column passage text
SELECT entry.slug, entry.dated,
	highlight(word, 0, char(2), char(3)) AS title,
	coalesce(highlight(word, 1, char(2), char(3)), '') AS original,
	highlight(word, 2, char(2), char(3)) AS author,
	coalesce(snippet(word, 4, char(2), char(3), '…', 24), '') AS passage
FROM word JOIN entry ON entry.id = word.rowid
WHERE word MATCH :words
ORDER BY bm25(word, 10, 8, 6, 3, 1), entry.id
LIMIT :count;

-- The same without the marks.
-- name: found_entries :many
-- param :words text
SELECT entry.slug, entry.title, entry.author, entry.author_slug, entry.dated, entry.language, entry.subject
FROM word JOIN entry ON entry.id = word.rowid
WHERE word MATCH :words
ORDER BY bm25(word, 10, 8, 6, 3, 1), entry.id
LIMIT :count;

-- name: found_count :one
-- param :words text
-- column books int
SELECT count(*) AS books FROM word WHERE word MATCH :words;
