-- Digests over values have a key.

-- An older binary makes digests without one: it would take everything for changed, and store what
-- guesses can be tested against.
INSERT INTO schema_versions (version, runs_with) VALUES (8, 8);

-- A row: the digests of actions, requests and holds get their key when the database is first opened
-- with it, in the same transaction. The table goes when the old pages are gone as well.
CREATE TABLE unkeyed_digests (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT;
INSERT INTO unkeyed_digests (one) VALUES (1);

-- It only says whether the content has to be stored again, which the next pass then does.
UPDATE source_contents SET digest = '';

-- What is bound to digests of then is superseded, and told anew.
UPDATE outbox SET body = json_remove(body, '$.data.group', '$.data.plan_id');
