-- The entries older than :before, newest first.
-- name: older_entries :many
-- column iso text
-- column date text
SELECT id, name, message,
	strftime('%Y-%m-%dT%H:%MZ', signed_at, 'unixepoch') AS iso,
	strftime('%d.%m.%Y, %H:%M', signed_at, 'unixepoch') AS date
FROM entry
WHERE id < :before
ORDER BY id DESC
LIMIT :count;

-- The last entry that older_entries gives, when there are still older ones.
-- name: last_of_page :one
-- column id int
SELECT min(id) AS id
FROM (SELECT id FROM entry WHERE id < :before ORDER BY id DESC LIMIT :count)
HAVING min(id) > (SELECT min(id) FROM entry);

-- name: add_entry :exec
INSERT INTO entry (name, message, signed_at)
VALUES (:name, :message, :signed_at);
