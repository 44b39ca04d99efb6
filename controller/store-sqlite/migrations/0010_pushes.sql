-- Announcements until they are answered, and what proposals would change.

INSERT INTO schema_versions (version, runs_with) VALUES (10, 9);

CREATE TABLE announcements (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    also        TEXT UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('push', 'proposal', 'sync')),
    body        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    answer      TEXT,
    answered_at INTEGER,
    CHECK ((answer IS NULL) = (answered_at IS NULL))
) STRICT;
CREATE INDEX announcements_open ON announcements (seq) WHERE answered_at IS NULL;
CREATE INDEX announcements_answered ON announcements (answered_at) WHERE answered_at IS NOT NULL;

CREATE TABLE previews (
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 0),
    content    BLOB NOT NULL, -- sealed
    at         INTEGER NOT NULL,
    PRIMARY KEY (repository, number)
) STRICT;
