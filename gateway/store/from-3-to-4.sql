-- Version 3 kept a chain's last page among the others.
CREATE TABLE ends (
    device BLOB PRIMARY KEY,
    page   INTEGER NOT NULL,
    low    INTEGER,
    high   INTEGER,
    places BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO ends
    SELECT device, page, low, high, places FROM pages p
    WHERE page = (SELECT max(page) FROM pages WHERE device = p.device);
DELETE FROM pages WHERE (device, page) IN (SELECT device, page FROM ends);
CREATE VIEW all_pages AS SELECT * FROM pages UNION ALL SELECT * FROM ends;
