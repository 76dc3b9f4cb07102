-- What e2e/queries.sh builds, runs and migrates.
CREATE TABLE author (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	born INTEGER
) STRICT;
CREATE TABLE book (
	id INTEGER PRIMARY KEY,
	author INTEGER NOT NULL REFERENCES author,
	title TEXT NOT NULL,
	price REAL NOT NULL,
	cover BLOB,
	note TEXT
) STRICT;
