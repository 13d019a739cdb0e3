-- The gateway's database, user_version 1. What stands here was committed; tiles and acknowledgements are derived from it.

-- The log's leaves in the order of admission: chain records, and forks and disowned records as evidence.
CREATE TABLE leaves (
    idx    INTEGER PRIMARY KEY,            -- leaf index
    id     BLOB NOT NULL UNIQUE,           -- of the record: one content is logged once, whatever its signature bytes
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('admitted', 'fork', 'disowned')),
    raw    BLOB NOT NULL                   -- the exact bytes
) STRICT;

-- The chains: one record for each device and seq, never two.
CREATE TABLE records (
    device    BLOB NOT NULL,
    seq       INTEGER NOT NULL,
    id        BLOB NOT NULL,
    prev      BLOB NOT NULL,
    kid       BLOB NOT NULL,
    kind      INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    boot      INTEGER,                     -- of readings: seq of their `open`
    milestone BLOB,                        -- of `open` and beacon: the ledger milestone that they name
    ledger    BLOB,
    leaf      INTEGER NOT NULL UNIQUE REFERENCES leaves (idx),
    PRIMARY KEY (device, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_readings ON records (device, time) WHERE kind = 1;
CREATE INDEX records_rotations ON records (device, seq) WHERE kind = 4;
CREATE INDEX records_milestones ON records (device, seq) WHERE milestone IS NOT NULL;

-- Why a leaf is no part of its chain.
CREATE TABLE evidence (
    leaf   INTEGER PRIMARY KEY REFERENCES leaves (idx),
    device BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    result TEXT NOT NULL,
    other  BLOB,                           -- id of the record that it collides with
    detail TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
CREATE INDEX evidence_device ON evidence (device);

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
