//! Transactions that take several rows take them in one order: none waits for one that waits for
//! it. Each test holds a row until both wait, in the order in which they would have met.

use std::time::Duration;

use skep_core::approval::Decision as Chosen;
use skep_core::identity::{ApprovalId, BatchId, IntentId};
use skep_core::letter::LetterReason;
use skep_store::conformance::samples::{at, decision, intent, pending, refused_for};
use skep_store::{
    Actions as _, Approvals as _, BatchMember, BatchOutcome, BatchRequest, Decision, Fence,
    Intents as _, Leases as _,
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{fresh, options, raw, request};
use crate::PostgresStore;

struct Crowd {
    url: String,
    store: PostgresStore,
    fence: Fence,
}

impl Crowd {
    /// Actions `a` and `z`, each with its request.
    async fn new() -> Self {
        let (url, address) = fresh();
        let store = PostgresStore::open(&address, options()).await.unwrap();
        let fence = store.acquire_lease(&request("leader")).await.unwrap().unwrap().fence;
        let both = [pending("a", "alpha"), pending("z", "zulu")];
        store.propose(&fence, &both, at(0)).await.unwrap();
        Self { url, store, fence }
    }

    async fn decide(&self, id: &str, chosen: Chosen, order: [&str; 2]) -> BatchOutcome {
        let one = decision("a", Decision::Approve);
        let mut members = Vec::new();
        for action in order {
            let id = format!("action_approval:a-{action}");
            let approval = self.store.approval(&id).await.unwrap();
            members.push(BatchMember {
                approval: ApprovalId::new(id),
                revision: approval.revision,
                binding: approval.binding,
            });
        }
        let request = BatchRequest {
            id: BatchId::new(id),
            decision: chosen,
            chosen: "both".to_owned(),
            halts: true,
            actor: one.actor,
            source: one.source,
            comment: None,
            start_by: (chosen == Chosen::Approve).then(|| at(700)),
            members,
        };
        self.store.decide_batch(&request, at(2)).await.unwrap()
    }

    /// A row that somebody else has, until the connection ends.
    async fn hold(&self, table: &str, id: &str) -> PgConnection {
        let mut holder = raw(&self.url).await;
        holder.execute("BEGIN").await.unwrap();
        let lock = format!("SELECT FROM {table} WHERE id = '{id}' FOR UPDATE");
        holder.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
        holder
    }

    /// Until so many transactions wait for a row.
    async fn waiting(&self, count: i64) {
        let mut looking = raw(&self.url).await;
        let asked = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let limit = tokio::time::Instant::now() + Duration::from_secs(30);
        while tokio::time::Instant::now() < limit {
            let found: i64 = sqlx::query_scalar(asked).fetch_one(&mut looking).await.unwrap();
            if found >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{count} transactions never waited");
    }
}

/// The leader ends `z`, which halts `a`; a person takes both back, `a` first.
#[tokio::test(flavor = "multi_thread")]
async fn a_halt_and_a_decision_about_the_same_ones_do_not_meet() {
    let crowd = std::sync::Arc::new(Crowd::new().await);
    crowd.decide("first", Chosen::Approve, ["a", "z"]).await;
    let began = intent("i-z", "z", "zulu");
    crowd.store.begin(&crowd.fence, 2, &began, at(3)).await.unwrap();
    let holder = crowd.hold("actions", "z").await;
    let leader = std::sync::Arc::clone(&crowd);
    let settled = tokio::spawn(async move {
        let outcome = refused_for(LetterReason::Refused);
        leader.store.settle(&leader.fence, &IntentId::new("i-z"), &outcome, at(4)).await
    });
    crowd.waiting(1).await;
    let person = std::sync::Arc::clone(&crowd);
    let decided =
        tokio::spawn(async move { person.decide("second", Chosen::Revoke, ["a", "z"]).await });
    crowd.waiting(2).await;
    holder.close().await.unwrap();
    settled.await.unwrap().unwrap();
    let outcome = decided.await.unwrap();
    assert_eq!(outcome.decided.len() + outcome.refused.len(), 2);
}

/// A person decides about both, `z` first; the leader reminds of both, `a` first.
#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_waits_for_no_decision() {
    let crowd = std::sync::Arc::new(Crowd::new().await);
    let holder = crowd.hold("approvals", "action_approval:a-z").await;
    let person = std::sync::Arc::clone(&crowd);
    let decided =
        tokio::spawn(async move { person.decide("first", Chosen::Approve, ["z", "a"]).await });
    crowd.waiting(1).await;
    let before = at(10 * 86_400);
    let leader = std::sync::Arc::clone(&crowd);
    let reminded =
        tokio::spawn(async move { leader.store.remind(&leader.fence, before, at(5)).await });
    // It skips the one that is being decided about and waits for nobody; a reminder that waits
    // here is the second one of the two.
    tokio::select! {
        () = crowd.waiting(2) => {}
        () = async { while !reminded.is_finished() { tokio::task::yield_now().await } } => {}
    }
    holder.close().await.unwrap();
    assert_eq!(reminded.await.unwrap().unwrap(), 1, "of the one that nobody is at work on");
    assert_eq!(decided.await.unwrap().decided.len(), 2);
}
