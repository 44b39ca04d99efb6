//! What operators are told, and the body of each message. Deciding that something is worth telling
//! happens here and in the store; how it reaches anybody is a transport's concern.
//!
//! # Guarantees
//! - The same event gives the same id, so recording it twice is recording it once.
//! - A body holds no value of a spec and nothing of the environment: only names, ids, words and
//!   sentences that `skep approvals list` shows as well.

mod schedule;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::schedule::{GIVE_UP_AFTER, next_attempt};
use crate::action::{Action, words};
use crate::approval::{Approval, Batch, Halt};
use crate::canonical::Digest;
use crate::identity::{ActionId, NoticeId, ObjectKey};

words! {
    /// What a message is about; the `type` of its body.
    NoticeKind {
        /// A person is asked.
        ApprovalRequested = "approval.requested",
        /// Nobody has answered, and the request lapses soon.
        ApprovalExpiring = "approval.expiring",
        /// A rule let an action run and wants people to know.
        ActionAllowed = "action.allowed",
        /// What was approved has moved before it could start.
        GrantSuperseded = "grant.superseded",
        /// A decision about many requests was halted by a failure.
        BatchHalted = "batch.halted",
        /// Somebody tries out whether messages arrive.
        Test = "notify.test",
    }
}

words! {
    /// Where a delivery of a message to one endpoint stands.
    DeliveryState {
        /// It is tried until it arrives or is given up.
        Waiting = "waiting",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was tried for too long; a person may start it again.
        Dead = "dead",
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The same at every attempt to deliver it.
    pub id: NoticeId,
    /// What it is about.
    pub kind: NoticeKind,
    /// `{type, timestamp, text, data}`: `text` is one sentence for people.
    pub body: Value,
    /// When it happened.
    pub at: Timestamp,
}

impl Notice {
    /// A message about `subject`, which together with the kind names the event.
    #[must_use]
    pub fn new(kind: NoticeKind, subject: &str, text: &str, data: &Value, at: Timestamp) -> Self {
        let digest = Digest::of_json(&json!([kind, subject]));
        Self {
            id: NoticeId::new(format!("msg_{}", digest.short(32))),
            kind,
            body: json!({"type": kind, "timestamp": at, "text": text, "data": data}),
            at,
        }
    }

    /// A person is asked.
    #[must_use]
    pub fn requested(action: &Action, approval: &Approval) -> Self {
        let text = format!(
            "approval required: {} {} ({}); skep approvals show {}",
            action.kind,
            action.step.target,
            action.reason,
            approval.id.as_str()
        );
        let kind = NoticeKind::ApprovalRequested;
        let data = of_request(action, approval);
        Self::new(kind, approval.id.as_str(), &text, &data, approval.created_at)
    }

    /// Nobody has answered yet.
    #[must_use]
    pub fn expiring(approval: &Approval, now: Timestamp) -> Self {
        let text = format!(
            "nobody has decided about {} {}; the request lapses at {:.0}: skep approvals show {}",
            approval.kind,
            approval.target,
            approval.expires_at,
            approval.id.as_str()
        );
        let data = json!({
            "approval_id": approval.id,
            "action_id": approval.action,
            "kind": approval.kind,
            "target": approval.target,
            "plan_id": approval.plan,
            "expires_at": approval.expires_at,
        });
        Self::new(NoticeKind::ApprovalExpiring, approval.id.as_str(), &text, &data, now)
    }

    /// A rule lets it run and wants people to know.
    #[must_use]
    pub fn allowed(action: &Action, why: &str) -> Self {
        let text = format!(
            "executing {} {}: {} ({why}, source {}, actuator {})",
            action.kind, action.step.target, action.reason, action.source, action.mode
        );
        let mut data = of_action(action);
        if let Value::Object(data) = &mut data {
            data.insert("rule".to_owned(), json!(action.rule));
        }
        Self::new(NoticeKind::ActionAllowed, action.id.as_str(), &text, &data, action.created_at)
    }

    /// What was approved has moved.
    #[must_use]
    pub fn superseded(key: &ObjectKey, action: &ActionId, detail: &str, now: Timestamp) -> Self {
        let text = format!("what was approved for {} has moved: {detail}", key.name);
        let data = json!({
            "action_id": action,
            "target": key.name,
            "cluster_id": key.cluster,
            "detail": detail,
        });
        Self::new(NoticeKind::GrantSuperseded, action.as_str(), &text, &data, now)
    }

    /// A decision about many was halted.
    #[must_use]
    pub fn halted(batch: &Batch, halt: &Halt, not_started: usize) -> Self {
        let text = format!(
            "halted: {} failed ({}); {not_started} more that were approved with it by {} do not \
             start: skep approvals show {}",
            halt.target,
            halt.reason,
            batch.actor,
            batch.id.as_str()
        );
        let data = json!({
            "batch_id": batch.id,
            "chosen": batch.chosen,
            "decided_by": batch.actor,
            "failed_action_id": halt.action,
            "failed_target": halt.target,
            "reason": halt.reason,
            "not_started": not_started,
        });
        Self::new(NoticeKind::BatchHalted, batch.id.as_str(), &text, &data, halt.at)
    }

    /// Somebody tries it out; `nonce` keeps two tries apart.
    #[must_use]
    pub fn test(actor: &str, nonce: &str, now: Timestamp) -> Self {
        let text = format!("a test of Skep's notifications by {actor}");
        Self::new(NoticeKind::Test, nonce, &text, &json!({"actor": actor}), now)
    }
}

fn of_action(action: &Action) -> Value {
    json!({
        "action_id": action.id,
        "kind": action.kind,
        "target": action.step.target,
        "cluster_id": action.key.cluster,
        "plan_id": action.plan,
        "source": action.source,
        "reason": action.reason,
        "risk": action.step.risk,
        "actuator": action.mode,
        // Which fields, never their values.
        "fields": action.step.changes.iter().map(|change| &change.path).collect::<Vec<_>>(),
    })
}

fn of_request(action: &Action, approval: &Approval) -> Value {
    let mut data = of_action(action);
    if let Value::Object(data) = &mut data {
        data.insert("approval_id".to_owned(), json!(approval.id));
        data.insert("group".to_owned(), json!(action.step.group));
        data.insert("revision".to_owned(), json!(approval.revision));
        data.insert("expires_at".to_owned(), json!(approval.expires_at));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ActuatorMode;
    use crate::approval::{Clocks, Proposal, request};
    use crate::gate::fixtures::{create, noon, policy, verdict};
    use crate::identity::{ApprovalId, ClusterId, PlanId};
    use crate::plan::Change;

    fn asked() -> (Action, Approval) {
        let spec = json!({"TaskTemplate": {"ContainerSpec": {
            "Image": "example/a:1", "Env": ["TOKEN=canary-value"], "Args": ["canary-value"],
        }}});
        let mut step = create("a", spec);
        step.changes = vec![Change {
            path: "/TaskTemplate/ContainerSpec/Env/TOKEN".to_owned(),
            before: Value::Null,
            after: json!("(masked 01234567)"),
        }];
        let policy = policy("rules: [{tier: approval_required}]");
        let verdict = verdict(&policy, &step, ActuatorMode::Swarm, noon());
        let proposal = Proposal {
            id: &ActionId::new("action1"),
            key: &ObjectKey::service(&ClusterId::new("cluster1"), &step.target),
            plan: &PlanId::new("plan1"),
            step: &step,
            verdict: &verdict,
            mode: ActuatorMode::Swarm,
            actor: "host pid 1 (serve)",
            now: noon(),
        };
        request(&proposal, ApprovalId::new("action_approval:1"), &Clocks::default()).unwrap()
    }

    #[test]
    fn a_message_names_fields_and_never_values() {
        let (action, approval) = asked();
        for notice in [
            Notice::requested(&action, &approval),
            Notice::allowed(&action, "tier auto_notify"),
            Notice::expiring(&approval, noon()),
            Notice::superseded(&action.key, &action.id, "it moved", noon()),
        ] {
            let body = notice.body.to_string();
            assert!(!body.contains("canary"), "{body}");
            assert!(!body.contains("masked"), "{body}");
            assert_eq!(notice.body["type"], notice.kind.as_str());
            assert!(notice.body["text"].as_str().unwrap().contains('a'));
        }
        let requested = Notice::requested(&action, &approval);
        assert_eq!(requested.body["data"]["fields"][0], "/TaskTemplate/ContainerSpec/Env/TOKEN");
        assert_eq!(requested.body["data"]["approval_id"], "action_approval:1");
    }

    #[test]
    fn the_same_event_has_the_same_id_and_another_one_has_not() {
        let (action, approval) = asked();
        let id = |notice: Notice| notice.id.as_str().to_owned();
        let one = id(Notice::requested(&action, &approval));
        assert_eq!(one, id(Notice::requested(&action, &approval)));
        assert!(one.starts_with("msg_") && one.len() == 36, "{one}");
        assert_ne!(one, id(Notice::expiring(&approval, noon())));
        assert_ne!(id(Notice::test("x", "1", noon())), id(Notice::test("x", "2", noon())));
    }
}
