-- Version 1 kept each record's id in `leaves` too, and an index over all of them.
CREATE TABLE fresh_leaves (
    idx    INTEGER PRIMARY KEY,
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('admitted', 'fork', 'disowned')),
    raw    BLOB NOT NULL
) STRICT;
INSERT INTO fresh_leaves SELECT idx, device, seq, result, raw FROM leaves;
CREATE TABLE fresh_evidence (
    leaf   INTEGER PRIMARY KEY REFERENCES leaves (idx),
    id     BLOB NOT NULL,
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL,
    other  BLOB,
    detail TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
INSERT INTO fresh_evidence
    SELECT e.leaf, l.id, e.device, e.seq, e.result, e.other, e.detail, e.at
    FROM evidence e JOIN leaves l ON l.idx = e.leaf;
DROP TABLE evidence;
DROP TABLE leaves;
ALTER TABLE fresh_leaves RENAME TO leaves;
ALTER TABLE fresh_evidence RENAME TO evidence;
CREATE INDEX evidence_device ON evidence (device);
CREATE INDEX evidence_id ON evidence (id);
