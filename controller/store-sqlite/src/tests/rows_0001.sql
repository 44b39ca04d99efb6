-- A database as the first schema left it, with rows in every table and an intent whose outcome
-- nobody knows.
UPDATE installation SET id = '000102030405060708090a0b0c0d0e0f';
UPDATE lease_epoch SET epoch = 7, term = 'old-term', holder = 'old@host', since = 1000000;
UPDATE lease_expiry SET expires_at = 2000000;

INSERT INTO actions (seq, id, tenant, cluster, object_kind, object_name, kind, plan_id, step,
    binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at,
    updated_at, granted_at, start_by)
SELECT seq, id, 'default', 'cluster-1', 'service', name, 'deploy_service', 'plan-1', @STEP@,
    'binding-' || id, 'registry', 'reconciler@host', 'declared, not there', 'swarm', 'default',
    state, revision, approval, 'detail of ' || id, 1000000, 2000000, granted_at, start_by
FROM (
    SELECT 2 AS seq, 'done' AS id, 'one' AS name, 'succeeded' AS state, 4 AS revision,
        'action_approval:done' AS approval, 1500000 AS granted_at, 9000000 AS start_by
    UNION ALL SELECT 3, 'failed', 'two', 'failed', 3, NULL, 1500000, NULL
    UNION ALL SELECT 5, 'asked', 'one', 'pending', 1, 'action_approval:asked', NULL, NULL
    UNION ALL SELECT 8, 'running', 'two', 'executing', 2, NULL, 1500000, 9000000
);
-- Rows had been there that are gone: their numbers are never given again.
UPDATE sqlite_sequence SET seq = 20 WHERE name = 'actions';

INSERT INTO approvals (id, action_id, kind, target, plan_id, binding, status, revision, created_at,
    expires_at, decided_at, decided_by, comment) VALUES
    ('action_approval:done', 'done', 'deploy_service', 'one', 'plan-1', 'binding-done', 'approved',
        2, 1000000, 9000000, 1500000, 'alice', 'fine'),
    ('action_approval:asked', 'asked', 'deploy_service', 'one', 'plan-1', 'binding-asked',
        'pending', 1, 1000000, 4000000000000000, NULL, NULL, NULL);

INSERT INTO decisions (action_id, kind, target, source, decision, tier, rule, reason, decided_at)
SELECT id, kind, object_name, source, 'allow', 'auto', 'default', 'tier auto', created_at
FROM actions;

INSERT INTO intents (id, action_id, tenant, cluster, object_kind, object_name, object_id, version,
    body, outcome, detail, created_at, settled_at) VALUES
    ('i-done', 'done', 'default', 'cluster-1', 'service', 'one', NULL, NULL, x'', 'done',
        'created', 1500000, 1600000),
    ('i-running', 'running', 'default', 'cluster-1', 'service', 'two', 'service-id', 41,
        x'7b7d00ff', 'unknown', '', 1500000, NULL);

INSERT INTO ownership (tenant, cluster, object_kind, object_name, object_id, source, since)
VALUES ('default', 'cluster-1', 'service', 'two', 'service-id', 'registry', 1000000);

INSERT INTO source_contents (source, digest, content, loaded_at)
VALUES ('registry', 'digest', x'00ff', 1000000);

INSERT INTO audit (at, kind, actor, tenant, cluster, object_kind, object_name, action_id, detail)
VALUES (1000000, 'leader_started', 'old@host', NULL, NULL, NULL, NULL, NULL, ''),
    (1500000, 'started', 'old@host', 'default', 'cluster-1', 'service', 'two', 'running', 'x');
