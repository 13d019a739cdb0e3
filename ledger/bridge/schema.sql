-- What the bridge has to pay, has paid, and where it stands. `tally-ledger bridge status` shows it.

CREATE TABLE bridge (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    chain      INTEGER NOT NULL CHECK (chain > 0),
    key        BLOB NOT NULL CHECK (length(key) = 33),   -- public, secp256k1, compressed
    next_nonce INTEGER                                    -- null until the account was first looked up
) STRICT;

-- one row a note, whoever submitted it and however often
CREATE TABLE notes (
    digest  BLOB PRIMARY KEY CHECK (length(digest) = 32), -- SHA-256 of the text
    origin  TEXT NOT NULL,
    size    INTEGER NOT NULL,
    text    TEXT NOT NULL,
    arrived INTEGER NOT NULL,                             -- Unix seconds
    covered BLOB REFERENCES notes (digest)                -- by this later note of the same log, instead
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_origin ON notes (origin, size);

-- anchor blocks that carry a note
CREATE TABLE blocks (
    id     BLOB PRIMARY KEY CHECK (length(id) = 32),
    digest BLOB NOT NULL REFERENCES notes (digest),
    raw    BLOB NOT NULL,
    done   INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)) -- confirmed by one of our milestones
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_waiting ON blocks (digest) WHERE done = 0;

CREATE TABLE transactions (
    nonce   INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL REFERENCES notes (digest),
    state   TEXT NOT NULL,        -- unknown, accepted, failed, executed, safe, final; lost: another spent the nonce
    hash    BLOB NOT NULL,        -- of the attempt that a block took, else of the newest
    signed  INTEGER NOT NULL,     -- Unix seconds
    height  INTEGER NOT NULL,     -- the other ledger's newest block then
    number  INTEGER,              -- its block now; provisional until safe
    block   BLOB,
    time    INTEGER,              -- of that block, Unix seconds
    fee     TEXT,                 -- paid, in the smallest unit
    moved   INTEGER NOT NULL DEFAULT 0, -- how often it was found in another block
    sent    INTEGER NOT NULL DEFAULT 0, -- how often it was sent
    looked  REAL NOT NULL DEFAULT 0     -- when it was last looked at, Unix seconds
) STRICT;
-- never two transactions for one note, unless the first is lost for good
CREATE UNIQUE INDEX transactions_once ON transactions (digest) WHERE state <> 'lost';
CREATE INDEX transactions_looked ON transactions (looked);

-- signed bytes, kept before they are sent; a second one for a nonce offers a higher price
CREATE TABLE attempts (
    hash  BLOB PRIMARY KEY CHECK (length(hash) = 32),
    nonce INTEGER NOT NULL REFERENCES transactions (nonce),
    price TEXT NOT NULL,
    raw   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_nonce ON attempts (nonce);

-- what the running bridge last saw, for people
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
