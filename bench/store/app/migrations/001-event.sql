CREATE TABLE event (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, note TEXT NOT NULL);
CREATE INDEX event_by_account ON event (account);
