-- Stored overrides of the policy, and decisions that can be made again: with what they were made
-- from, and also those that refused an action.

-- An older binary would decide without the overrides, past any freeze: it must not run on this
-- schema.
INSERT INTO schema_versions (version, runs_with) VALUES (3, 3);

-- What has ended stays on record, so that a past decision can be made again.
CREATE TABLE overrides (
    seq                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                 TEXT COLLATE "C" NOT NULL UNIQUE,
    name               TEXT,
    kind               TEXT NOT NULL,
    target             TEXT NOT NULL,
    domain             TEXT NOT NULL,
    tier               TEXT NOT NULL CHECK (tier IN ('auto', 'auto_notify', 'approval_required',
                           'forbidden')),
    rate_max           BIGINT,
    rate_window        BIGINT,
    blast_max          BIGINT,
    blast_window       BIGINT,
    maintenance_window TEXT,
    priority           BIGINT NOT NULL,
    fields             TEXT NOT NULL,
    reason             TEXT NOT NULL,
    actor              TEXT NOT NULL,
    created_at         BIGINT NOT NULL,
    expires_at         BIGINT,
    lifted_at          BIGINT,
    lifted_by          TEXT,
    CHECK ((rate_max IS NULL) = (rate_window IS NULL)),
    CHECK ((blast_max IS NULL) = (blast_window IS NULL)),
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
CREATE INDEX overrides_not_lifted ON overrides (seq) WHERE lifted_at IS NULL;

-- Moves with every change of the table above; each decision looks at it.
CREATE TABLE overrides_counter (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    counter BIGINT NOT NULL
);
INSERT INTO overrides_counter (one, counter) VALUES (1, 0);

ALTER TABLE decisions
    ALTER COLUMN action_id DROP NOT NULL, -- NULL: refused, so there is none
    ADD COLUMN cause TEXT NOT NULL DEFAULT '', -- empty: from before there was this column
    ADD COLUMN facts TEXT; -- NULL: from before
ALTER TABLE decisions ALTER COLUMN cause DROP DEFAULT;
