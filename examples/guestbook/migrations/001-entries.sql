CREATE TABLE entry (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
	message TEXT NOT NULL CHECK (length(message) BETWEEN 1 AND 1000),
	signed_at INTEGER NOT NULL -- seconds since 1970
) STRICT;
