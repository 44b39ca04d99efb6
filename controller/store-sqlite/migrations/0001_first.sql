-- Instants are microseconds since 1970-01-01 UTC. Words are those of skep-core.
-- Postgres has the same tables; what differs is how a transaction locks.

-- Which binaries may work with which schema. A binary that meets a migration it does not know
-- goes on only when that migration says here that it may; without a row it stops.
-- Every migration inserts its own row.
CREATE TABLE schema_versions (
    version   INTEGER PRIMARY KEY,
    runs_with INTEGER NOT NULL -- the oldest schema version whose binary still works with this one
) STRICT;
INSERT INTO schema_versions (version, runs_with) VALUES (1, 1);

CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
) STRICT;
INSERT INTO installation (one, id) VALUES (1, lower(hex(randomblob(16))));

-- Epoch and expiry stand in separate rows: the check of the epoch must not block the holder's own
-- renewal. SQLite has one writer anyway; the shape is kept so that both backends read the same.
CREATE TABLE lease_epoch (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    epoch  INTEGER NOT NULL,
    term   TEXT, -- NULL when released
    holder TEXT NOT NULL,
    since  INTEGER NOT NULL
) STRICT;
INSERT INTO lease_epoch (one, epoch, term, holder, since) VALUES (1, 0, NULL, '', 0);

CREATE TABLE lease_expiry (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO lease_expiry (one, expires_at) VALUES (1, 0);

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
    state       TEXT NOT NULL CHECK (state IN ('pending', 'granted', 'executing', 'succeeded',
                    'failed', 'rehearsed', 'denied', 'superseded', 'expired')),
    revision    INTEGER NOT NULL,
    approval_id TEXT,
    detail      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    granted_at  INTEGER,
    start_by    INTEGER
) STRICT;
-- One key has at most one open action, whatever the code does.
CREATE UNIQUE INDEX actions_one_open_per_key
    ON actions (tenant, cluster, object_kind, object_name)
    WHERE state IN ('pending', 'granted', 'executing');
CREATE INDEX actions_by_key ON actions (tenant, cluster, object_kind, object_name, seq);
CREATE INDEX actions_by_state ON actions (state, seq);

CREATE TABLE approvals (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    action_id  TEXT NOT NULL UNIQUE REFERENCES actions (id),
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    plan_id    TEXT NOT NULL,
    binding    TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'superseded',
                   'expired')),
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT,
    comment    TEXT
) STRICT;
CREATE INDEX approvals_by_status ON approvals (status, seq);
CREATE INDEX approvals_by_plan ON approvals (plan_id, seq);

CREATE TABLE decisions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    action_id  TEXT NOT NULL REFERENCES actions (id),
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    source     TEXT NOT NULL,
    decision   TEXT NOT NULL,
    tier       TEXT NOT NULL,
    rule       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    decided_at INTEGER NOT NULL
) STRICT;
CREATE INDEX decisions_by_time ON decisions (decided_at);

CREATE TABLE intents (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    action_id   TEXT NOT NULL REFERENCES actions (id),
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    object_id   TEXT,
    version     INTEGER,
    body        BLOB NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('unknown', 'done', 'refused', 'no_effect',
                    'retry')),
    detail      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    settled_at  INTEGER
) STRICT;
CREATE INDEX intents_open ON intents (seq) WHERE outcome = 'unknown';
-- An action has several intents when one had no effect and it was tried again, never two at once.
CREATE UNIQUE INDEX intents_one_open_per_action ON intents (action_id) WHERE outcome = 'unknown';

CREATE TABLE ownership (
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    source      TEXT NOT NULL,
    since       INTEGER NOT NULL,
    PRIMARY KEY (cluster, object_kind, object_name, tenant)
) STRICT;

CREATE TABLE source_contents (
    source    TEXT NOT NULL PRIMARY KEY,
    digest    TEXT NOT NULL,
    content   BLOB NOT NULL,
    loaded_at INTEGER NOT NULL
) STRICT;

-- Append-only. Without a foreign key: the trail outlives what it speaks about.
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,
    tenant      TEXT,
    cluster     TEXT,
    object_kind TEXT,
    object_name TEXT,
    action_id   TEXT,
    detail      TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_action ON audit (action_id, seq) WHERE action_id IS NOT NULL;
CREATE INDEX audit_by_key ON audit (tenant, cluster, object_kind, object_name, seq)
    WHERE object_name IS NOT NULL;

CREATE TRIGGER audit_refuses_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
CREATE TRIGGER audit_refuses_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- INSERT OR REPLACE deletes without firing the trigger above.
CREATE TRIGGER audit_refuses_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
