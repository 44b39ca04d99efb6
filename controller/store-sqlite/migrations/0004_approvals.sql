-- Decisions about many requests, what actions wait for, what moved when one was superseded, and
-- the outbox.

-- An older binary would start what a halt has stopped, and takes the new words of the trail for
-- damage: it must not run on this schema.
INSERT INTO schema_versions (version, runs_with) VALUES (4, 4);

-- One decision about several requests.
CREATE TABLE batches (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    decision      TEXT NOT NULL CHECK (decision IN ('approve', 'deny', 'revoke')),
    chosen        TEXT NOT NULL, -- how the requests were chosen, for people
    halts         INTEGER NOT NULL CHECK (halts IN (0, 1)),
    actor         TEXT NOT NULL,
    source        TEXT NOT NULL,
    comment       TEXT,
    decided_at    INTEGER NOT NULL,
    halted_at     INTEGER,
    halted_by     TEXT REFERENCES actions (id),
    halted_target TEXT,
    halted_reason TEXT
) STRICT;

ALTER TABLE approvals ADD COLUMN batch_id TEXT REFERENCES batches (id);
ALTER TABLE approvals ADD COLUMN decided_source TEXT;
-- When operators were told that it lapses soon.
ALTER TABLE approvals ADD COLUMN reminded_at INTEGER;
CREATE INDEX approvals_by_batch ON approvals (batch_id, seq) WHERE batch_id IS NOT NULL;

-- What a granted action waits for, and when it last ceased to.
ALTER TABLE actions ADD COLUMN wait_code TEXT;
ALTER TABLE actions ADD COLUMN wait_reason TEXT;
ALTER TABLE actions ADD COLUMN wait_since INTEGER;
ALTER TABLE actions ADD COLUMN runnable_since INTEGER;
-- What was decided about beside what was planned when it was superseded; values are masked.
ALTER TABLE actions ADD COLUMN moved TEXT CHECK (moved IS NULL OR json_valid(moved));

-- Messages to the operators, written in the transaction of what they tell.
CREATE TABLE outbox (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    id   TEXT NOT NULL UNIQUE, -- of the event: recording it twice is recording it once
    kind TEXT NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body)),
    at   INTEGER NOT NULL
) STRICT;

-- Up to which message each receiver has its deliveries.
CREATE TABLE outbox_endpoints (
    endpoint TEXT NOT NULL PRIMARY KEY,
    seen     INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox_deliveries (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    notice_id  TEXT NOT NULL REFERENCES outbox (id),
    endpoint   TEXT NOT NULL REFERENCES outbox_endpoints (endpoint),
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    last_error TEXT,
    updated_at INTEGER NOT NULL,
    UNIQUE (notice_id, endpoint)
) STRICT;
CREATE INDEX outbox_due ON outbox_deliveries (endpoint, next_at, seq) WHERE state = 'waiting';
