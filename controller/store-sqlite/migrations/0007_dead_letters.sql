-- Failed attempts of actions that go on, and dead letters.

INSERT INTO schema_versions (version, runs_with) VALUES (7, 7);

-- One row for an action of which at least one attempt has failed.
CREATE TABLE attempts (
    action_id  TEXT NOT NULL PRIMARY KEY REFERENCES actions (id),
    failed     INTEGER NOT NULL CHECK (failed > 0),
    failure    TEXT NOT NULL,
    detail     TEXT NOT NULL,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    not_before INTEGER NOT NULL
) STRICT;

-- Without a foreign key: letters are also about events, and outlive what they are about.
CREATE TABLE dead_letters (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('ingress', 'dispatch')),
    source      TEXT NOT NULL,
    event       TEXT NOT NULL,
    host        TEXT NOT NULL,
    tenant      TEXT,
    cluster     TEXT,
    object_kind TEXT,
    object_name TEXT,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    attempts    INTEGER NOT NULL CHECK (attempts > 0),
    payload     TEXT NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'requeued', 'dropped')),
    handled_at  INTEGER,
    handled_by  TEXT,
    handled_why TEXT
) STRICT;
CREATE INDEX dead_letters_open ON dead_letters (kind) WHERE state = 'open';
CREATE INDEX dead_letters_by_time ON dead_letters (last_seen, seq);
CREATE INDEX dead_letters_by_name ON dead_letters (object_name) WHERE object_name IS NOT NULL;
