-- The ledger's database. All that can be derived from `blocks.raw` is derived again by `tally-ledger fsck`.
-- Rows are appended; what changes later is the head, a milestone's note (when a witness has signed it),
-- the newest anchors, and `raw`, which `prune` takes away.

CREATE TABLE ledger (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         BLOB NOT NULL CHECK (length(id) = 8),
    key        BLOB NOT NULL CHECK (length(key) = 32),   -- public
    head_index INTEGER NOT NULL CHECK (head_index >= 0), -- newest milestone, 0 before the first
    head_size  INTEGER NOT NULL CHECK (head_size >= 0),
    head_root  BLOB NOT NULL CHECK (length(head_root) = 32),
    announced  INTEGER NOT NULL CHECK (announced >= 0),  -- receipts of all positions below it are at the broker
    settled    INTEGER NOT NULL CHECK (settled >= 0),    -- all arrivals up to this one are confirmed
    pruned     INTEGER NOT NULL CHECK (pruned >= 0)      -- below this position only what must stay has its bytes
) STRICT;

CREATE TABLE milestones (
    number     INTEGER PRIMARY KEY CHECK (number >= 1),
    arrival    INTEGER NOT NULL UNIQUE REFERENCES blocks (arrival),
    round      INTEGER NOT NULL,                         -- of the interval in which it was made
    size       INTEGER NOT NULL UNIQUE,
    root       BLOB NOT NULL CHECK (length(root) = 32),
    time       INTEGER NOT NULL,
    checkpoint BLOB,                                     -- the signed note; of the last one of a moment
    witnesses  INTEGER NOT NULL                          -- how many have cosigned it
) STRICT;

CREATE TABLE blocks (
    arrival  INTEGER PRIMARY KEY,
    prefix   INTEGER NOT NULL,                           -- the first 8 bytes of the id: a small index
    id       BLOB NOT NULL CHECK (length(id) = 32),
    kind     INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
    subject  BLOB CHECK (length(subject) = 8),           -- gateway of an anchor, device of a statement
    verified INTEGER NOT NULL CHECK (verified IN (0, 1)), -- an anchor that its gateway's key signed
    digest   BLOB CHECK (length(digest) = 32),           -- of a statement's bytes
    raw      BLOB                                        -- null when pruned
) STRICT;
CREATE INDEX blocks_prefix ON blocks (prefix);
CREATE INDEX blocks_device ON blocks (subject) WHERE kind = 3;
CREATE INDEX blocks_digest ON blocks (digest) WHERE digest IS NOT NULL;

-- the order that the milestones gave
CREATE TABLE places (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    arrival  INTEGER NOT NULL UNIQUE REFERENCES blocks (arrival)
) STRICT;

-- complete subtrees of two and more leaves of the tree over the confirmed ids, numbered in order; written once
CREATE TABLE nodes (
    number INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- a gateway's newest confirmed anchor
CREATE TABLE anchors (
    gateway  BLOB PRIMARY KEY CHECK (length(gateway) = 8),
    position INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    verified INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- two signed milestones that contradict each other, and when that was seen
CREATE TABLE forks (
    number INTEGER NOT NULL,
    first  BLOB NOT NULL,
    second BLOB NOT NULL,
    code   TEXT NOT NULL,
    UNIQUE (first, second)
) STRICT;
