-- Decisions about many requests, what actions wait for, what moved when one was superseded, and
-- the outbox.

-- An older binary would start what a halt has stopped, and takes the new words of the trail for
-- damage: it must not run on this schema.
INSERT INTO schema_versions (version, runs_with) VALUES (4, 4);

-- One decision about several requests.
CREATE TABLE batches (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT COLLATE "C" NOT NULL UNIQUE,
    decision      TEXT NOT NULL CHECK (decision IN ('approve', 'deny', 'revoke')),
    chosen        TEXT NOT NULL, -- how the requests were chosen, for people
    halts         BIGINT NOT NULL CHECK (halts IN (0, 1)),
    actor         TEXT NOT NULL,
    source        TEXT NOT NULL,
    comment       TEXT,
    decided_at    BIGINT NOT NULL,
    halted_at     BIGINT,
    halted_by     TEXT COLLATE "C" REFERENCES actions (id),
    halted_target TEXT,
    halted_reason TEXT
);

ALTER TABLE approvals
    ADD COLUMN batch_id TEXT COLLATE "C" REFERENCES batches (id),
    ADD COLUMN decided_source TEXT,
    -- When operators were told that it lapses soon.
    ADD COLUMN reminded_at BIGINT;
CREATE INDEX approvals_by_batch ON approvals (batch_id, seq) WHERE batch_id IS NOT NULL;

ALTER TABLE actions
    -- What a granted action waits for, and when it last ceased to.
    ADD COLUMN wait_code TEXT,
    ADD COLUMN wait_reason TEXT,
    ADD COLUMN wait_since BIGINT,
    ADD COLUMN runnable_since BIGINT,
    -- What was decided about beside what was planned when it was superseded; values are masked.
    ADD COLUMN moved TEXT;

-- Messages to the operators, written in the transaction of what they tell.
CREATE TABLE outbox (
    seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id   TEXT COLLATE "C" NOT NULL UNIQUE, -- of the event: recording it twice is recording it once
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at   BIGINT NOT NULL
);

-- Up to which message each receiver has its deliveries.
CREATE TABLE outbox_endpoints (
    endpoint TEXT COLLATE "C" PRIMARY KEY,
    seen     BIGINT NOT NULL
);

CREATE TABLE outbox_deliveries (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notice_id  TEXT COLLATE "C" NOT NULL REFERENCES outbox (id),
    endpoint   TEXT COLLATE "C" NOT NULL REFERENCES outbox_endpoints (endpoint),
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts   BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    last_error TEXT,
    updated_at BIGINT NOT NULL,
    UNIQUE (notice_id, endpoint)
);
CREATE INDEX outbox_due ON outbox_deliveries (endpoint, next_at, seq) WHERE state = 'waiting';
