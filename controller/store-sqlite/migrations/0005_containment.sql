-- What people paused and killed, and what was there before.

-- An older binary would not know that a service is held, and would bring it up again.
INSERT INTO schema_versions (version, runs_with) VALUES (5, 5);

CREATE TABLE containments (
    tenant   TEXT NOT NULL,
    cluster  TEXT NOT NULL,
    scope    TEXT NOT NULL CHECK (scope IN ('service', 'domain')),
    name     TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('paused', 'killed', 'resuming')),
    actor    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (cluster, scope, name, tenant)
) STRICT;

-- From before the first write of a kill until everything is back.
CREATE TABLE former_states (
    tenant      TEXT NOT NULL,
    cluster     TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    domain      TEXT NOT NULL,
    former      TEXT NOT NULL CHECK (json_valid(former)),
    last_verb   TEXT CHECK (last_verb IN ('kill', 'resume')),
    action_id   TEXT REFERENCES actions (id),
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (cluster, object_kind, object_name, tenant),
    CHECK ((last_verb IS NULL) = (action_id IS NULL))
) STRICT;

-- First calls that wait for a second one.
CREATE TABLE containment_confirmations (
    actor  TEXT NOT NULL,
    digest TEXT NOT NULL,
    until  INTEGER NOT NULL,
    PRIMARY KEY (actor, digest)
) STRICT;

-- How the leader of an epoch carries things out.
CREATE TABLE leader_mode (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    mode  TEXT NOT NULL CHECK (mode IN ('dryrun', 'swarm'))
) STRICT;
