-- The newest notes, newest first.
-- name: newest_notes :many
SELECT text FROM note ORDER BY id DESC LIMIT :count;

-- name: add_note :exec
INSERT INTO note (text) VALUES (:text);
