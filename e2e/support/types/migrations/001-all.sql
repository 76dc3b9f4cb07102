-- Tables for each rule by which types are found (e2e/queries.sh).
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, age INTEGER, weight REAL, photo BLOB, born DATE) ;
CREATE TABLE post (id INTEGER PRIMARY KEY, author INTEGER NOT NULL REFERENCES person, title TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL, score REAL NOT NULL DEFAULT 0) STRICT;
CREATE VIEW posts AS SELECT p.id, p.title, a.name AS author, a.email FROM post p JOIN person a ON a.id = p.author;
CREATE VIRTUAL TABLE search USING fts5(title, body, content='post', content_rowid='id');
CREATE VIEW with_last AS SELECT p.id, p.name, q.title, q.at FROM person p LEFT JOIN post q ON q.author = p.id;
CREATE TABLE setting (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE "odd name" ("a column" TEXT NOT NULL, [other] INTEGER GENERATED ALWAYS AS (length("a column")));
CREATE TRIGGER counted AFTER INSERT ON post BEGIN
	UPDATE person SET age = age + 1 WHERE id = new.author; -- one; two
	DELETE FROM setting WHERE key = 'a;b';
END;
