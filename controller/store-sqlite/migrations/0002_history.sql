-- The history of services, requests by hand, holds, rollouts as a state of their own, and
-- replacements as one intent.

-- An older binary takes the new words (a state, a phase, kinds of the trail) for damage, and
-- would send the second half of a replacement as an update: it must not run on this schema.
INSERT INTO schema_versions (version, runs_with) VALUES (2, 2);

-- SQLite cannot change a CHECK: the table of actions is made anew. Other tables refer to it, so
-- the references are checked at the commit, by when every row is back.
PRAGMA defer_foreign_keys = ON;
-- Without them each row that leaves or returns searches the whole tables that refer to it.
CREATE INDEX moving_decisions ON decisions (action_id);
CREATE INDEX moving_intents ON intents (action_id);

CREATE TABLE moving_actions AS SELECT * FROM actions;
CREATE TABLE moving_sequence AS SELECT * FROM sqlite_sequence WHERE name = 'actions';
DROP TABLE actions;
CREATE TABLE actions (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    kind        TEXT NOT NULL,
    plan_id     TEXT NOT NULL,
    step        TEXT NOT NULL CHECK (json_valid(step)),
    binding     TEXT NOT NULL,
    source      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    mode        TEXT NOT NULL,
    rule        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'granted', 'executing', 'rolling_out',
                    'succeeded', 'failed', 'rehearsed', 'denied', 'superseded', 'expired')),
    revision    INTEGER NOT NULL,
    approval_id TEXT,
    detail      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    granted_at  INTEGER,
    start_by    INTEGER
) STRICT;
INSERT INTO actions (seq, id, tenant, cluster, object_kind, object_name, kind, plan_id, step,
    binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at,
    updated_at, granted_at, start_by)
SELECT seq, id, tenant, cluster, object_kind, object_name, kind, plan_id, step,
    binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at,
    updated_at, granted_at, start_by
FROM moving_actions ORDER BY seq;
-- Numbers of actions are never given again, also not those of rows that are gone.
DELETE FROM sqlite_sequence WHERE name = 'actions';
INSERT INTO sqlite_sequence SELECT * FROM moving_sequence;
DROP TABLE moving_actions;
DROP TABLE moving_sequence;
DROP INDEX moving_decisions;
DROP INDEX moving_intents;

-- One key has at most one open action, whatever the code does.
CREATE UNIQUE INDEX actions_one_open_per_key
    ON actions (tenant, cluster, object_kind, object_name)
    WHERE state IN ('pending', 'granted', 'executing', 'rolling_out');
CREATE INDEX actions_by_key ON actions (tenant, cluster, object_kind, object_name, seq);
CREATE INDEX actions_by_state ON actions (state, seq);

-- Every intent so far was one request.
ALTER TABLE intents ADD COLUMN phase TEXT NOT NULL DEFAULT 'write'
    CHECK (phase IN ('write', 'remove', 'create'));

-- The specs are last: what comes before them is read without them.
CREATE TABLE revisions (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    number      INTEGER NOT NULL CHECK (number > 0),
    is_newest   INTEGER NOT NULL CHECK (is_newest IN (0, 1)),
    object_id   TEXT NOT NULL,
    version     INTEGER,
    fingerprint TEXT NOT NULL,
    origin      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    action_id   TEXT REFERENCES actions (id),
    actor       TEXT NOT NULL,
    source      TEXT,
    provenance  TEXT CHECK (provenance IS NULL OR json_valid(provenance)),
    reason      TEXT NOT NULL,
    changes     TEXT NOT NULL CHECK (json_valid(changes)),
    spec        BLOB NOT NULL, -- sealed
    previous    BLOB           -- sealed
) STRICT;
CREATE UNIQUE INDEX revisions_by_number
    ON revisions (tenant, cluster, object_kind, object_name, number);
CREATE UNIQUE INDEX revisions_newest
    ON revisions (cluster, object_name, object_kind, tenant) WHERE is_newest = 1;

CREATE TABLE requests (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    verb        TEXT NOT NULL CHECK (json_valid(verb)),
    actor       TEXT NOT NULL,
    reason      TEXT,
    state       TEXT NOT NULL CHECK (state IN ('open', 'filed', 'refused')),
    action_id   TEXT REFERENCES actions (id),
    detail      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
-- Asking twice is asking once.
CREATE UNIQUE INDEX requests_one_open_per_verb
    ON requests (tenant, cluster, object_kind, object_name, verb) WHERE state = 'open';
CREATE INDEX requests_by_state ON requests (state, seq);

CREATE TABLE holds (
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('accepted', 'manual', 'retry')),
    difference  TEXT,
    until       INTEGER,
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    placed_at   INTEGER NOT NULL,
    PRIMARY KEY (cluster, object_kind, object_name, tenant)
) STRICT;
