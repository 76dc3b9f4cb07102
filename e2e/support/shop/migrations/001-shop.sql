-- What e2e/mixed.sh's application keeps. What must always hold stands in e2e/support/shop_check.sql.
CREATE TABLE account (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	opening INTEGER NOT NULL,
	balance INTEGER NOT NULL CHECK (balance >= 0)
) STRICT;
CREATE INDEX account_name ON account (name);

CREATE TABLE transfer (
	id INTEGER PRIMARY KEY,
	source INTEGER NOT NULL REFERENCES account,
	target INTEGER NOT NULL REFERENCES account,
	amount INTEGER NOT NULL
) STRICT;
CREATE INDEX transfer_source ON transfer (source);
CREATE INDEX transfer_target ON transfer (target);

CREATE TABLE purchase (
	id INTEGER PRIMARY KEY,
	account INTEGER NOT NULL REFERENCES account,
	tag TEXT NOT NULL,
	note TEXT NOT NULL,
	total INTEGER NOT NULL
) STRICT;
CREATE INDEX purchase_account ON purchase (account);
CREATE INDEX purchase_tag ON purchase (tag);

CREATE TABLE item (
	purchase INTEGER NOT NULL REFERENCES purchase,
	line INTEGER NOT NULL,
	price INTEGER NOT NULL,
	count INTEGER NOT NULL,
	PRIMARY KEY (purchase, line)
) STRICT, WITHOUT ROWID;

-- A body is its seed in hexadecimal, again and again.
CREATE TABLE paper (
	purchase INTEGER PRIMARY KEY REFERENCES purchase,
	seed INTEGER NOT NULL,
	repeats INTEGER NOT NULL,
	body BLOB NOT NULL
) STRICT;

CREATE VIRTUAL TABLE search USING fts5 (note);

-- Changed as a whole, by statements that are larger than the memory.
CREATE TABLE history (
	id INTEGER PRIMARY KEY,
	touched INTEGER NOT NULL,
	text TEXT NOT NULL
) STRICT;
CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO fact VALUES ('history', 0), ('touched', 0);

CREATE TABLE filler (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- One row for each change: what was acknowledged is here.
CREATE TABLE done (token TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
