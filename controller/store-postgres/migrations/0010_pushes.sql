-- Announcements until they are answered, and what proposals would change.

INSERT INTO schema_versions (version, runs_with) VALUES (10, 9);

CREATE TABLE announcements (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    also        TEXT COLLATE "C" UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('push', 'proposal', 'sync')),
    body        TEXT NOT NULL,
    at          BIGINT NOT NULL,
    answer      TEXT,
    answered_at BIGINT,
    CHECK ((answer IS NULL) = (answered_at IS NULL))
);
CREATE INDEX announcements_open ON announcements (seq) WHERE answered_at IS NULL;
CREATE INDEX announcements_answered ON announcements (answered_at) WHERE answered_at IS NOT NULL;
CREATE CONSTRAINT TRIGGER announcements_count AFTER INSERT ON announcements
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION count_change();

CREATE TABLE previews (
    repository TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL CHECK (number >= 0),
    content    BYTEA NOT NULL, -- sealed
    at         BIGINT NOT NULL,
    PRIMARY KEY (repository, number)
);
