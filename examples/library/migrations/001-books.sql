-- Years before Christ are negative: -8 is 8 BC. `about`: scholars agree on that only more or less.
CREATE TABLE author (
	slug TEXT NOT NULL PRIMARY KEY, -- in addresses: /author/jane-austen
	name TEXT NOT NULL,
	sorted TEXT NOT NULL, -- as a catalogue has it: "Austen, Jane"
	born INTEGER,
	died INTEGER,
	CHECK (slug NOT GLOB '*[^a-z0-9-]*' AND died BETWEEN born AND born + 110)
) STRICT;

CREATE TABLE book (
	id INTEGER PRIMARY KEY,
	slug TEXT NOT NULL UNIQUE, -- /book/emma
	author TEXT NOT NULL REFERENCES author,
	title TEXT NOT NULL,
	original TEXT, -- its title where it was not written in English
	year INTEGER NOT NULL, -- of the first publication; of what is older than printing, when it was written
	about INTEGER NOT NULL DEFAULT 0 CHECK (about IN (0, 1)),
	dated TEXT NOT NULL AS (iif(about, 'about ', '') || abs(year) || iif(year < 0, ' BC', '')), -- "about 750 BC"
	language TEXT NOT NULL,
	subject TEXT NOT NULL,
	opening TEXT, -- the first sentence, in the language of the book
	added_at INTEGER NOT NULL DEFAULT (unixepoch()), -- to this library: seconds since 1970
	CHECK (slug NOT GLOB '*[^a-z0-9-]*')
) STRICT;
CREATE INDEX book_by_year ON book (year, id);
CREATE INDEX book_by_author ON book (author, year);

-- A book as it is shown, and as it is searched.
CREATE VIEW entry AS
SELECT book.id, book.slug, book.title, book.original, book.year, book.language, book.subject, book.opening, book.added_at,
	book.dated, author.name AS author, author.slug AS author_slug
FROM book JOIN author ON author.slug = book.author;

-- The index of all words. It holds no text of its own, that is in `entry`; so a migration that changes books ends with
-- INSERT INTO word (word) VALUES ('rebuild'). Letters are found without their accents.
CREATE VIRTUAL TABLE word USING fts5 (
	title, original, author, subject, opening,
	content = 'entry', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
