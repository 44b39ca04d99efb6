-- What removals are measured against, and which stack took an object over.

-- An older binary would remove without looking at the mark, and not know whose an object is.
INSERT INTO schema_versions (version, runs_with) VALUES (9, 9);

-- The most objects that were on record at once, and when there came to be fewer.
CREATE TABLE prune_marks (
    tenant  TEXT NOT NULL DEFAULT 'default',
    cluster TEXT NOT NULL,
    most    INTEGER NOT NULL CHECK (most >= 0),
    left_at INTEGER,
    PRIMARY KEY (cluster, tenant)
) STRICT;

-- The stack of an object whose labels say another one, or none: labels of networks cannot be
-- changed.
ALTER TABLE ownership ADD COLUMN stack TEXT;
