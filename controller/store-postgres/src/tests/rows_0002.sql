UPDATE lease_epoch SET epoch = 7, term = 'old-term', holder = 'old@host', since = 1000000;
UPDATE lease_expiry SET expires_at = 2000000;
INSERT INTO actions (seq, id, tenant, cluster, object_kind, object_name, kind, plan_id, step,
    binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at,
    updated_at, granted_at, start_by)
OVERRIDING SYSTEM VALUE
VALUES (20, 'running', 'default', 'cluster-1', 'service', 'caddy', 'deploy_service', 'plan-1',
    @STEP@, 'binding-running', 'registry', 'skep', 'reason', 'swarm', 'rule', 'executing', 2,
    'action_approval:running', 'detail', 1000000, 2000000, 1500000, 9000000);
SELECT setval(pg_get_serial_sequence('actions', 'seq'), 20);
INSERT INTO approvals (id, action_id, kind, target, plan_id, binding, status, revision, created_at,
    expires_at, decided_at, decided_by, comment)
VALUES ('action_approval:running', 'running', 'deploy_service', 'caddy', 'plan-1',
    'binding-running', 'approved', 2, 1000000, 9000000, 1500000, 'alice', 'go');
INSERT INTO decisions (action_id, kind, target, source, decision, tier, rule, reason, decided_at)
VALUES ('running', 'deploy_service', 'caddy', 'registry', 'queue_approval', 'approval_required',
    'rule', 'reason', 1000000);
INSERT INTO intents (id, action_id, tenant, cluster, object_kind, object_name, object_id, version,
    body, outcome, detail, created_at)
VALUES ('i-running', 'running', 'default', 'cluster-1', 'service', 'caddy', 'service-id', 5,
    '{"hunter2":1}', 'unknown', '', 2000000);
INSERT INTO ownership (tenant, cluster, object_kind, object_name, object_id, source, since)
VALUES ('default', 'cluster-1', 'service', 'caddy', 'service-id', 'registry', 1000000);
INSERT INTO source_contents (source, digest, content, loaded_at)
VALUES ('registry', 'digest', '\x00ff', 1000000);
INSERT INTO revisions (tenant, cluster, object_kind, object_name, number, is_newest, object_id,
    version, fingerprint, origin, at, actor, reason, changes, spec)
VALUES ('default', 'cluster-1', 'service', 'caddy', 1, true, 'service-id', 5, 'print', 'external',
    1000000, 'somebody', 'reason', '[]', '\x01');
INSERT INTO requests (id, tenant, cluster, object_kind, object_name, verb, actor, state, detail,
    created_at, updated_at)
VALUES ('request-1', 'default', 'cluster-1', 'service', 'caddy', '"restart"', 'alice', 'open', '',
    1000000, 1000000);
INSERT INTO holds (tenant, cluster, object_kind, object_name, kind, actor, reason, placed_at)
VALUES ('default', 'cluster-1', 'service', 'caddy', 'manual', 'alice', 'reason', 1000000);
INSERT INTO audit (at, kind, actor, detail) VALUES (1000000, 'leader_started', 'old@host', '');
