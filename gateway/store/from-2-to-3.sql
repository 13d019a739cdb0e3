-- Version 2 kept a row for each record, by device and seq, with an index over device and time.
CREATE TABLE fresh_leaves (
    idx    INTEGER PRIMARY KEY,
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('admitted', 'fork', 'disowned')),
    kind   INTEGER,
    time   INTEGER,
    start  INTEGER,
    raw    BLOB NOT NULL
) STRICT;
-- a number of 24 bits from the first six digits of an id
INSERT INTO fresh_leaves
    SELECT l.idx, l.device, l.seq, l.result, r.kind, r.time,
        CASE WHEN r.id IS NOT NULL THEN
        (instr('123456789ABCDEF', substr(hex(r.id), 1, 1)) << 20)
        | (instr('123456789ABCDEF', substr(hex(r.id), 2, 1)) << 16)
        | (instr('123456789ABCDEF', substr(hex(r.id), 3, 1)) << 12)
        | (instr('123456789ABCDEF', substr(hex(r.id), 4, 1)) << 8)
        | (instr('123456789ABCDEF', substr(hex(r.id), 5, 1)) << 4)
        | instr('123456789ABCDEF', substr(hex(r.id), 6, 1)) END,
        l.raw
    FROM leaves l LEFT JOIN records r ON r.device = l.device AND r.seq = l.seq AND r.leaf = l.idx;
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
INSERT INTO fresh_evidence SELECT leaf, id, device, seq, result, other, detail, at FROM evidence;
CREATE TABLE landmarks (
    device    BLOB NOT NULL,
    seq       INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    milestone BLOB,
    ledger    BLOB,
    PRIMARY KEY (device, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO landmarks
    SELECT device, seq, kind, milestone, ledger FROM records
    WHERE kind = 4 OR milestone IS NOT NULL;
DROP TABLE records;
DROP TABLE evidence;
DROP TABLE leaves;
ALTER TABLE fresh_leaves RENAME TO leaves;
ALTER TABLE fresh_evidence RENAME TO evidence;
CREATE INDEX evidence_device ON evidence (device);
CREATE INDEX evidence_id ON evidence (id);
CREATE INDEX landmarks_milestones ON landmarks (milestone) WHERE milestone IS NOT NULL;
CREATE INDEX landmarks_rotations ON landmarks (device, seq) WHERE kind = 4;
CREATE TABLE pages (
    device BLOB NOT NULL,
    page   INTEGER NOT NULL,
    low    INTEGER,
    high   INTEGER,
    places BLOB NOT NULL,
    PRIMARY KEY (device, page)
) STRICT, WITHOUT ROWID;
