-- Stored overrides of the policy, and decisions that can be made again: with what they were made
-- from, and also those that refused an action.

-- An older binary would decide without the overrides, past any freeze: it must not run on this
-- schema.
INSERT INTO schema_versions (version, runs_with) VALUES (3, 3);

-- What has ended stays on record, so that a past decision can be made again.
CREATE TABLE overrides (
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 TEXT NOT NULL UNIQUE,
    name               TEXT,
    kind               TEXT NOT NULL,
    target             TEXT NOT NULL,
    domain             TEXT NOT NULL,
    tier               TEXT NOT NULL CHECK (tier IN ('auto', 'auto_notify', 'approval_required',
                           'forbidden')),
    rate_max           INTEGER,
    rate_window        INTEGER,
    blast_max          INTEGER,
    blast_window       INTEGER,
    maintenance_window TEXT,
    priority           INTEGER NOT NULL,
    fields             TEXT NOT NULL CHECK (json_valid(fields)),
    reason             TEXT NOT NULL,
    actor              TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    expires_at         INTEGER,
    lifted_at          INTEGER,
    lifted_by          TEXT,
    CHECK ((rate_max IS NULL) = (rate_window IS NULL)),
    CHECK ((blast_max IS NULL) = (blast_window IS NULL)),
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
) STRICT;
CREATE INDEX overrides_not_lifted ON overrides (seq) WHERE lifted_at IS NULL;

-- Moves with every change of the table above; each decision looks at it.
CREATE TABLE overrides_counter (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO overrides_counter (one, counter) VALUES (1, 0);

-- A refusal has no action, and SQLite cannot drop a NOT NULL: the table is made anew. Nothing
-- refers to it.
CREATE TABLE moving_decisions AS SELECT * FROM decisions;
DROP TABLE decisions;
CREATE TABLE decisions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    action_id  TEXT REFERENCES actions (id), -- NULL: refused, so there is none
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    source     TEXT NOT NULL,
    decision   TEXT NOT NULL,
    tier       TEXT NOT NULL,
    rule       TEXT NOT NULL,
    cause      TEXT NOT NULL, -- empty: from before there was this column
    reason     TEXT NOT NULL,
    facts      TEXT CHECK (facts IS NULL OR json_valid(facts)), -- NULL: from before
    decided_at INTEGER NOT NULL
) STRICT;
INSERT INTO decisions (seq, action_id, kind, target, source, decision, tier, rule, cause, reason,
    facts, decided_at)
SELECT seq, action_id, kind, target, source, decision, tier, rule, '', reason, NULL, decided_at
FROM moving_decisions ORDER BY seq;
DROP TABLE moving_decisions;
CREATE INDEX decisions_by_time ON decisions (decided_at);
