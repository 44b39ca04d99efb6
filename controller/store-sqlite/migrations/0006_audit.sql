-- The audit trail is chained, and the steps of actions are sealed.

-- An older binary would append rows without a chain, and reads no sealed step.
INSERT INTO schema_versions (version, runs_with) VALUES (6, 6);

-- Facts of the event as JSON, and the place in the chain. Rows from before have none of it.
ALTER TABLE audit ADD COLUMN data TEXT CHECK (data IS NULL OR json_valid(data));
ALTER TABLE audit ADD COLUMN form INTEGER;
ALTER TABLE audit ADD COLUMN chain TEXT;
ALTER TABLE audit ADD COLUMN position INTEGER;
ALTER TABLE audit ADD COLUMN follows INTEGER; -- number of the row that it is linked to
ALTER TABLE audit ADD COLUMN link BLOB;       -- keyed hash of that row
ALTER TABLE audit ADD COLUMN mac BLOB;        -- keyed hash of this row
CREATE UNIQUE INDEX audit_by_chain ON audit (chain, position) WHERE chain IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at);

CREATE TRIGGER audit_refuses_unchained BEFORE INSERT ON audit
WHEN NEW.chain IS NULL OR NEW.position IS NULL OR NEW.form IS NULL OR NEW.link IS NULL
    OR NEW.mac IS NULL
BEGIN
    SELECT RAISE(ABORT, 'every row of the audit trail is chained');
END;

-- Where each chain starts and ends; sealed.
CREATE TABLE audit_chains (
    chain    TEXT NOT NULL PRIMARY KEY,
    number   INTEGER NOT NULL UNIQUE,
    writer   TEXT NOT NULL,
    follows  INTEGER,
    link     BLOB NOT NULL,
    length   INTEGER NOT NULL,
    last_seq INTEGER,
    last     BLOB NOT NULL,
    seal     BLOB NOT NULL
) STRICT;

-- How many chains there are; sealed. Made when the database is first opened with its key.
CREATE TABLE audit_roster (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    chains INTEGER NOT NULL,
    seal   BLOB NOT NULL
) STRICT;

-- A digest over the rows from before there were chains; sealed, and made at the same time.
CREATE TABLE audit_checkpoint (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    rows     INTEGER NOT NULL,
    last_seq INTEGER,
    digest   BLOB NOT NULL,
    seal     BLOB NOT NULL
) STRICT;

-- A step holds values that were declared literally. What is there is sealed when the database is
-- first opened with its key, in the same transaction; then this table goes.
CREATE TABLE unsealed_steps AS SELECT seq, step FROM actions;
ALTER TABLE actions DROP COLUMN step;
ALTER TABLE actions ADD COLUMN step BLOB NOT NULL DEFAULT x''; -- sealed
