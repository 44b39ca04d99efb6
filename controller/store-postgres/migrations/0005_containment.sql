-- What people paused and killed, and what was there before.

-- An older binary would not know that a service is held, and would bring it up again.
INSERT INTO schema_versions (version, runs_with) VALUES (5, 5);

CREATE TABLE containments (
    tenant   TEXT COLLATE "C" NOT NULL,
    cluster  TEXT COLLATE "C" NOT NULL,
    scope    TEXT COLLATE "C" NOT NULL CHECK (scope IN ('service', 'domain')),
    name     TEXT COLLATE "C" NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('paused', 'killed', 'resuming')),
    actor    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (cluster, scope, name, tenant)
);

-- From before the first write of a kill until everything is back.
CREATE TABLE former_states (
    tenant      TEXT COLLATE "C" NOT NULL,
    cluster     TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    object_id   TEXT NOT NULL,
    domain      TEXT NOT NULL,
    former      TEXT NOT NULL,
    last_verb   TEXT CHECK (last_verb IN ('kill', 'resume')),
    action_id   TEXT COLLATE "C" REFERENCES actions (id),
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (cluster, object_kind, object_name, tenant),
    CHECK ((last_verb IS NULL) = (action_id IS NULL))
);

-- First calls that wait for a second one.
CREATE TABLE containment_confirmations (
    actor  TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    until  BIGINT NOT NULL,
    PRIMARY KEY (actor, digest)
);

-- How the leader of an epoch carries things out.
CREATE TABLE leader_mode (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL,
    mode  TEXT NOT NULL CHECK (mode IN ('dryrun', 'swarm'))
);
