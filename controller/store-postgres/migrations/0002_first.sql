-- The same tables and columns as in SQLite, which came first: its migrations 1 and 2 are this one,
-- and from 3 on both have the same numbers.
--
-- Instants are microseconds since 1970-01-01 UTC, so that both databases give the same values
-- back. Words are those of skep-core. What is sorted or searched by its beginning is compared by
-- bytes, whatever the database's own collation is.

-- Which binaries may work with which schema. A binary that meets a migration it does not know
-- goes on only when that migration says here that it may; without a row it stops.
-- Every migration inserts its own row.
CREATE TABLE schema_versions (
    version   BIGINT PRIMARY KEY,
    runs_with BIGINT NOT NULL -- the oldest schema version whose binary still works with this one
);
INSERT INTO schema_versions (version, runs_with) VALUES (2, 2);

CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
);
INSERT INTO installation (one, id) VALUES (1, encode(uuid_send(gen_random_uuid()), 'hex'));

-- Epoch and expiry stand in separate rows: each transaction of the leader holds a share lock on
-- the epoch, and the holder's own renewal must not wait for it.
CREATE TABLE lease_epoch (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    epoch  BIGINT NOT NULL,
    term   TEXT, -- NULL when released
    holder TEXT NOT NULL,
    since  BIGINT NOT NULL
);
INSERT INTO lease_epoch (one, epoch, term, holder, since) VALUES (1, 0, NULL, '', 0);

CREATE TABLE lease_expiry (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    expires_at BIGINT NOT NULL
);
INSERT INTO lease_expiry (one, expires_at) VALUES (1, 0);

CREATE TABLE actions (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    kind        TEXT NOT NULL,
    plan_id     TEXT NOT NULL,
    step        TEXT NOT NULL,
    binding     TEXT NOT NULL,
    source      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    mode        TEXT NOT NULL,
    rule        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'granted', 'executing', 'rolling_out',
                    'succeeded', 'failed', 'rehearsed', 'denied', 'superseded', 'expired')),
    revision    BIGINT NOT NULL,
    approval_id TEXT COLLATE "C",
    detail      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    granted_at  BIGINT,
    start_by    BIGINT
);
-- One key has at most one open action, whatever the code does.
CREATE UNIQUE INDEX actions_one_open_per_key
    ON actions (tenant, cluster, object_kind, object_name)
    WHERE state IN ('pending', 'granted', 'executing', 'rolling_out');
CREATE INDEX actions_by_key ON actions (tenant, cluster, object_kind, object_name, seq);
CREATE INDEX actions_by_state ON actions (state, seq);

CREATE TABLE approvals (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    action_id  TEXT COLLATE "C" NOT NULL UNIQUE REFERENCES actions (id),
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    plan_id    TEXT COLLATE "C" NOT NULL,
    binding    TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'superseded',
                   'expired')),
    revision   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    comment    TEXT
);
CREATE INDEX approvals_by_status ON approvals (status, seq);
CREATE INDEX approvals_by_plan ON approvals (plan_id, seq);

CREATE TABLE decisions (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action_id  TEXT COLLATE "C" NOT NULL REFERENCES actions (id),
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    source     TEXT NOT NULL,
    decision   TEXT NOT NULL,
    tier       TEXT NOT NULL,
    rule       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    decided_at BIGINT NOT NULL
);
CREATE INDEX decisions_by_time ON decisions (decided_at);

CREATE TABLE intents (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    action_id   TEXT COLLATE "C" NOT NULL REFERENCES actions (id),
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    object_id   TEXT,
    version     BIGINT,
    body        BYTEA NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('unknown', 'done', 'refused', 'no_effect',
                    'retry')),
    detail      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    settled_at  BIGINT,
    phase       TEXT NOT NULL DEFAULT 'write' CHECK (phase IN ('write', 'remove', 'create'))
);
CREATE INDEX intents_open ON intents (seq) WHERE outcome = 'unknown';
-- An action has several intents when one had no effect and it was tried again, never two at once.
CREATE UNIQUE INDEX intents_one_open_per_action ON intents (action_id) WHERE outcome = 'unknown';

CREATE TABLE ownership (
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    object_id   TEXT NOT NULL,
    source      TEXT NOT NULL,
    since       BIGINT NOT NULL,
    PRIMARY KEY (cluster, object_kind, object_name, tenant)
);

CREATE TABLE source_contents (
    source    TEXT COLLATE "C" PRIMARY KEY,
    digest    TEXT NOT NULL,
    content   BYTEA NOT NULL,
    loaded_at BIGINT NOT NULL
);

CREATE TABLE revisions (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    number      BIGINT NOT NULL CHECK (number > 0),
    is_newest   BOOLEAN NOT NULL,
    object_id   TEXT NOT NULL,
    version     BIGINT,
    fingerprint TEXT NOT NULL,
    origin      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    action_id   TEXT COLLATE "C" REFERENCES actions (id),
    actor       TEXT NOT NULL,
    source      TEXT,
    provenance  TEXT,
    reason      TEXT NOT NULL,
    changes     TEXT NOT NULL,
    spec        BYTEA NOT NULL, -- sealed
    previous    BYTEA           -- sealed
);
CREATE UNIQUE INDEX revisions_by_number
    ON revisions (tenant, cluster, object_kind, object_name, number);
CREATE UNIQUE INDEX revisions_newest
    ON revisions (cluster, object_name, object_kind, tenant) WHERE is_newest;

CREATE TABLE requests (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    verb        TEXT COLLATE "C" NOT NULL,
    actor       TEXT NOT NULL,
    reason      TEXT,
    state       TEXT NOT NULL CHECK (state IN ('open', 'filed', 'refused')),
    action_id   TEXT COLLATE "C" REFERENCES actions (id),
    detail      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
-- Asking twice is asking once.
CREATE UNIQUE INDEX requests_one_open_per_verb
    ON requests (tenant, cluster, object_kind, object_name, verb) WHERE state = 'open';
CREATE INDEX requests_by_state ON requests (state, seq);

CREATE TABLE holds (
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('accepted', 'manual', 'retry')),
    difference  TEXT,
    until       BIGINT,
    actor       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    placed_at   BIGINT NOT NULL,
    PRIMARY KEY (cluster, object_kind, object_name, tenant)
);

-- Append-only. Without a foreign key: the trail outlives what it speaks about.
CREATE TABLE audit (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,
    tenant      TEXT COLLATE "C",
    cluster     TEXT COLLATE "C",
    object_kind TEXT COLLATE "C",
    object_name TEXT COLLATE "C",
    action_id   TEXT COLLATE "C",
    detail      TEXT NOT NULL,
    -- The transaction, under a random name that its writer gave it. Who loses the connection during
    -- the COMMIT finds out by it whether the transaction is there. (A transaction id of Postgres
    -- would not do: one that was lost in a crash is given again.)
    written_in  UUID DEFAULT nullif(current_setting('skep.write', true), '')::uuid
);
CREATE INDEX audit_by_action ON audit (action_id, seq) WHERE action_id IS NOT NULL;
CREATE INDEX audit_by_key ON audit (tenant, cluster, object_kind, object_name, seq)
    WHERE object_name IS NOT NULL;
CREATE INDEX audit_by_write ON audit (written_in);

CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END
$$;
CREATE TRIGGER audit_refuses_change BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_refuses_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();

-- The change counter. The largest number of an audit row would not do: rows get their number when
-- they are written and become visible when they are committed, so a reader that has seen number 6
-- would never notice a 5 that comes later. Here each transaction that appends to the trail adds one
-- to a row, in itself: the sum moves exactly when the rows appear, for whoever looks when.
--
-- Several rows, so that two commits seldom wait for each other; and added at the commit, so that
-- nobody who holds such a row waits for anything else.
CREATE TABLE changes (
    slot    INTEGER PRIMARY KEY,
    counter BIGINT NOT NULL
) WITH (fillfactor = 10); -- room on the page, so that no update touches an index
INSERT INTO changes (slot, counter) SELECT slot, 0 FROM generate_series(0, 15) AS slot;

CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Once per transaction, however many rows it appends.
    IF current_setting('skep.counted', true) IS DISTINCT FROM 'yes' THEN
        UPDATE changes SET counter = counter + 1 WHERE slot = pg_backend_pid() % 16;
        PERFORM set_config('skep.counted', 'yes', true);
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER audit_counts AFTER INSERT ON audit
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION count_change();
