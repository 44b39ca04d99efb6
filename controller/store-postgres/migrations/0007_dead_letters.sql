-- Failed attempts of actions that go on, and dead letters.

INSERT INTO schema_versions (version, runs_with) VALUES (7, 7);

-- One row for an action of which at least one attempt has failed.
CREATE TABLE attempts (
    action_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES actions (id),
    failed     BIGINT NOT NULL CHECK (failed > 0),
    failure    TEXT NOT NULL,
    detail     TEXT NOT NULL,
    first_at   BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    not_before BIGINT NOT NULL
);

-- Without a foreign key: letters are also about events, and outlive what they are about.
CREATE TABLE dead_letters (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('ingress', 'dispatch')),
    source      TEXT NOT NULL,
    event       TEXT NOT NULL,
    host        TEXT NOT NULL,
    tenant      TEXT COLLATE "C",
    cluster     TEXT COLLATE "C",
    object_kind TEXT COLLATE "C",
    object_name TEXT COLLATE "C",
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    attempts    BIGINT NOT NULL CHECK (attempts > 0),
    payload     TEXT NOT NULL,
    first_seen  BIGINT NOT NULL,
    last_seen   BIGINT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'requeued', 'dropped')),
    handled_at  BIGINT,
    handled_by  TEXT,
    handled_why TEXT
);
CREATE INDEX dead_letters_open ON dead_letters (kind) WHERE state = 'open';
CREATE INDEX dead_letters_by_time ON dead_letters (last_seen, seq);
CREATE INDEX dead_letters_by_name ON dead_letters (object_name) WHERE object_name IS NOT NULL;
