-- The audit trail is chained, and the steps of actions are sealed.

-- An older binary would append rows without a chain, and reads no sealed step.
INSERT INTO schema_versions (version, runs_with) VALUES (6, 6);

-- Facts of the event as JSON, and the place in the chain. Rows from before have none of it.
ALTER TABLE audit ADD COLUMN data TEXT;
ALTER TABLE audit ADD COLUMN form BIGINT;
ALTER TABLE audit ADD COLUMN chain TEXT COLLATE "C";
ALTER TABLE audit ADD COLUMN position BIGINT;
ALTER TABLE audit ADD COLUMN follows BIGINT; -- number of the row that it is linked to
ALTER TABLE audit ADD COLUMN link BYTEA;     -- keyed hash of that row
ALTER TABLE audit ADD COLUMN mac BYTEA;      -- keyed hash of this row
CREATE UNIQUE INDEX audit_by_chain ON audit (chain, position) WHERE chain IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at);

-- Rows from before are not looked at again.
ALTER TABLE audit ADD CONSTRAINT audit_is_chained CHECK (chain IS NOT NULL
    AND position IS NOT NULL AND form IS NOT NULL AND link IS NOT NULL AND mac IS NOT NULL)
    NOT VALID;

-- Where each chain starts and ends; sealed.
CREATE TABLE audit_chains (
    chain    TEXT COLLATE "C" PRIMARY KEY,
    number   BIGINT NOT NULL UNIQUE,
    writer   TEXT NOT NULL,
    follows  BIGINT,
    link     BYTEA NOT NULL,
    length   BIGINT NOT NULL,
    last_seq BIGINT,
    last     BYTEA NOT NULL,
    seal     BYTEA NOT NULL
);

-- How many chains there are; sealed. Made when the database is first opened with its key.
CREATE TABLE audit_roster (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    chains BIGINT NOT NULL,
    seal   BYTEA NOT NULL
);

-- A digest over the rows from before there were chains; sealed, and made at the same time.
CREATE TABLE audit_checkpoint (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    rows     BIGINT NOT NULL,
    last_seq BIGINT,
    digest   BYTEA NOT NULL,
    seal     BYTEA NOT NULL
);

-- A step holds values that were declared literally. What is there is sealed when the database is
-- first opened with its key, in the same transaction; then this table goes.
CREATE TABLE unsealed_steps AS SELECT seq, step FROM actions;
ALTER TABLE actions DROP COLUMN step;
ALTER TABLE actions ADD COLUMN step BYTEA NOT NULL DEFAULT ''; -- sealed
