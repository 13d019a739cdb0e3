-- The ledger's database. All that can be derived from `blocks.raw` is derived again by `tally-ledger fsck`.

CREATE TABLE ledger (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         BLOB NOT NULL CHECK (length(id) = 8),
    key        BLOB NOT NULL CHECK (length(key) = 32),   -- public
    head_index INTEGER NOT NULL CHECK (head_index >= 0), -- newest milestone, 0 before the first
    head_size  INTEGER NOT NULL CHECK (head_size >= 0),
    head_root  BLOB NOT NULL CHECK (length(head_root) = 32),
    announced  INTEGER NOT NULL CHECK (announced >= 0)   -- receipts of all positions below it are at the broker
) STRICT;

CREATE TABLE milestones (
    number     INTEGER PRIMARY KEY CHECK (number >= 1),
    block      BLOB NOT NULL UNIQUE REFERENCES blocks (id),
    size       INTEGER NOT NULL UNIQUE,
    root       BLOB NOT NULL CHECK (length(root) = 32),
    time       INTEGER NOT NULL,
    checkpoint BLOB NOT NULL                             -- the signed note
) STRICT;

CREATE TABLE blocks (
    arrival   INTEGER PRIMARY KEY,
    id        BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    kind      INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
    subject   BLOB CHECK (length(subject) = 8),          -- gateway of an anchor, device of a statement
    digest    BLOB CHECK (length(digest) = 32),          -- of the note or the statement
    position  INTEGER UNIQUE,                            -- null until a milestone confirms it
    milestone INTEGER REFERENCES milestones (number),    -- the one that did
    raw       BLOB NOT NULL,
    CHECK ((position IS NULL) = (milestone IS NULL))
) STRICT;
CREATE INDEX blocks_pending ON blocks (arrival) WHERE position IS NULL;
CREATE INDEX blocks_subject ON blocks (kind, subject, position);
CREATE INDEX blocks_digest ON blocks (digest, position) WHERE digest IS NOT NULL;

-- complete subtrees of the tree over the confirmed ids; written once
CREATE TABLE nodes (
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;
