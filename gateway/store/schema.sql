-- The gateway's database, user_version 4. What stands here was committed; tiles and acknowledgements are derived from it.

-- The log's leaves in the order of admission: chain records, and forks and disowned records as evidence.
CREATE TABLE leaves (
    idx    INTEGER PRIMARY KEY,            -- leaf index
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('admitted', 'fork', 'disowned')),
    kind   INTEGER,                        -- this and the next two are NULL for evidence
    time   INTEGER,
    start  INTEGER,                        -- first 24 bits of the record's id
    raw    BLOB NOT NULL                   -- the exact bytes
) STRICT;

-- The chains: one record for each device and seq, never two; store/places.py says how they are packed. The newest leaves, from
-- the fact `indexed` on, are in no page yet. One content is logged once, whatever its signature bytes: its id stands in its
-- bytes, or in `evidence`; an index over all ids would be the one thing that grows slower with each record.
CREATE TABLE pages (
    device BLOB NOT NULL,
    page   INTEGER NOT NULL,               -- seq / 48
    low    INTEGER,                        -- earliest and latest time of the readings in it
    high   INTEGER,
    places BLOB NOT NULL,
    PRIMARY KEY (device, page)
) STRICT, WITHOUT ROWID;

-- The last page of each chain, which grows: all of them lie close together, and are written again and again.
CREATE TABLE ends (
    device BLOB PRIMARY KEY,
    page   INTEGER NOT NULL,
    low    INTEGER,
    high   INTEGER,
    places BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE VIEW all_pages AS SELECT * FROM pages UNION ALL SELECT * FROM ends;

-- Rotations, and the records that name a ledger milestone.
CREATE TABLE landmarks (
    device    BLOB NOT NULL,
    seq       INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    milestone BLOB,
    ledger    BLOB,
    PRIMARY KEY (device, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX landmarks_milestones ON landmarks (milestone) WHERE milestone IS NOT NULL;
CREATE INDEX landmarks_rotations ON landmarks (device, seq) WHERE kind = 4;

-- Why a leaf is no part of its chain.
CREATE TABLE evidence (
    leaf   INTEGER PRIMARY KEY REFERENCES leaves (idx),
    id     BLOB NOT NULL,
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL,
    other  BLOB,                           -- id of the record that it collides with
    detail TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
CREATE INDEX evidence_device ON evidence (device);
CREATE INDEX evidence_id ON evidence (id);

CREATE TABLE devices (
    device    BLOB PRIMARY KEY,
    did       TEXT NOT NULL,
    state     BLOB,                        -- tallystick.chain.Chain.dump
    last_seen INTEGER
) STRICT, WITHOUT ROWID;

-- Keys that came by rotation; first keys are in the enrolment.
CREATE TABLE keys (
    kid    BLOB PRIMARY KEY,
    device BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was refused, with its reason. Bounded, oldest first out.
CREATE TABLE quarantine (
    n      INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    topic  TEXT NOT NULL,
    device BLOB,
    seq    INTEGER,
    code   TEXT NOT NULL,
    detail TEXT NOT NULL,
    length INTEGER NOT NULL,               -- of the message; raw holds its start where that is too long
    raw    BLOB NOT NULL
) STRICT;

-- What this gateway has signed.
CREATE TABLE checkpoints (
    origin TEXT NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    note   BLOB NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (origin, size)
) STRICT, WITHOUT ROWID;

CREATE TABLE anchors (
    id        BLOB PRIMARY KEY,            -- block id
    origin    TEXT NOT NULL,
    size      INTEGER NOT NULL,            -- of the checkpoint in it
    block     BLOB NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('pending', 'attached', 'confirmed', 'rejected')),
    detail    TEXT NOT NULL,
    built     INTEGER NOT NULL,
    confirmed BLOB                         -- CBOR `confirmed`
) STRICT;
CREATE INDEX anchors_by_size ON anchors (state, size);

CREATE TABLE milestones (
    id     BLOB PRIMARY KEY,
    ledger BLOB NOT NULL,
    number INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    named  INTEGER NOT NULL,               -- does a record name it?
    raw    BLOB NOT NULL
) STRICT;
CREATE INDEX milestones_by_number ON milestones (ledger, number);

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
