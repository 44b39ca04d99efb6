//! What people do in a simulated world, as the commands do it: each is one transaction of a process
//! that then ends.

use jiff::SignedDuration;
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::containment::{Confirmation, ContainmentVerb, Order, Scope};
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{BatchId, ClusterId, RequestId, ServiceName};
use skep_core::letter::LetterState;
use skep_core::ports::{Clock as _, Random as _};
use skep_core::request::{NewRequest, RequestVerb};
use skep_store::{
    ApprovalFilter, Approvals as _, BatchMember, BatchRequest, Containments as _, DeadLetters as _,
    Decision, DecisionRequest, Error, LetterFilter, Operator, Requests as _, Requeue, RequeueWith,
};

use crate::world::{CLUSTER, World, key};

/// Everybody here is one person.
pub const ALICE: &str = "alice";
const SOURCE: &str = "simulated:operator";

/// What is contained.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// One service.
    Service(&'static str),
    /// A domain.
    Domain(&'static str),
}

impl Target {
    fn scope(self) -> Scope {
        match self {
            Self::Service(name) => Scope::Service(ServiceName::new(name)),
            Self::Domain(name) => Scope::Domain(name.to_owned()),
        }
    }
}

impl World {
    /// Requests that wait for a decision.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn pending(&self) -> Vec<Approval> {
        self.requests_that_are(ApprovalStatus::Pending).await
    }

    async fn requests_that_are(&self, status: ApprovalStatus) -> Vec<Approval> {
        let status = Some(status);
        let filter = ApprovalFilter { status, ..ApprovalFilter::default() };
        self.store().approvals(&filter).await.unwrap()
    }

    /// A person decides everything that waits, or takes back everything that was allowed.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn decide(&self, decision: Decision) {
        let about = if decision == Decision::Revoke {
            ApprovalStatus::Approved
        } else {
            ApprovalStatus::Pending
        };
        for request in self.requests_that_are(about).await {
            let now = self.clock.now();
            let start_by = now.checked_add(SignedDuration::from_mins(10)).ok();
            let decision = DecisionRequest {
                approval: request.id,
                decision,
                actor: ALICE.to_owned(),
                comment: None,
                source: SOURCE.to_owned(),
                expected_revision: None,
                expected_binding: None,
                start_by: start_by.filter(|_| decision == Decision::Approve),
            };
            match self.store().decide(&decision, now).await {
                // It was superseded in this moment, or has been carried out.
                Ok(_) | Err(Error::Conflict { .. } | Error::Transition(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// A person decides everything that waits as one decision, which halts at its first failure.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn decide_together(&self, decision: Decision) {
        let now = self.clock.now();
        let seen = self.pending().await;
        let members = seen.into_iter().map(|one| BatchMember {
            approval: one.id,
            revision: one.revision,
            binding: one.binding,
        });
        let start_by = now.checked_add(SignedDuration::from_hours(1)).ok();
        let request = BatchRequest {
            id: BatchId::new(self.random.hex128()),
            decision,
            chosen: "all".to_owned(),
            halts: true,
            actor: ALICE.to_owned(),
            source: SOURCE.to_owned(),
            comment: None,
            members: members.collect(),
            start_by: start_by.filter(|_| decision == Decision::Approve),
        };
        self.store().decide_batch(&request, now).await.unwrap();
    }

    /// A person asks for something by hand.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn ask(&self, name: &str, verb: RequestVerb) {
        let request = NewRequest {
            id: RequestId::generate(&*self.random),
            key: key(name),
            verb,
            actor: ALICE.to_owned(),
            reason: None,
        };
        self.store().submit(&[request], self.clock.now()).await.unwrap();
    }

    /// A person pauses, kills or resumes; what is so already stays as it is.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn order(&self, verb: ContainmentVerb, target: Target) {
        let (actor, reason) = (ALICE.to_owned(), "fire".to_owned());
        let order = Order { verb, scope: target.scope(), actor, reason };
        let cluster = ClusterId::new(CLUSTER);
        let _as_it_was = self.store().order(&cluster, &[order], self.clock.now()).await.unwrap();
    }

    /// A person kills a whole domain: the first call asks, the same one soon afterwards means it.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn kill_domain(&self, domain: &'static str, services: &[&str]) {
        let now = self.clock.now();
        let target = Target::Domain(domain);
        let named = services.iter().copied().map(ServiceName::new).collect();
        let asked =
            Confirmation::new(ALICE, &ClusterId::new(CLUSTER), &target.scope(), &named, now);
        if self.store().confirm(&asked, now).await.unwrap() {
            self.order(ContainmentVerb::Kill, target).await;
        }
    }

    /// A person has every open letter proposed again.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn requeue(&self) {
        let states = vec![LetterState::Open];
        let filter = LetterFilter { states, ..LetterFilter::default() };
        for letter in self.store().letters(&filter).await.unwrap() {
            let now = self.clock.now();
            let hold = Hold {
                key: letter.key.clone().unwrap(),
                kind: HoldKind::Retry,
                difference: None,
                until: None,
                actor: ALICE.to_owned(),
                reason: String::new(),
                placed_at: now,
            };
            let by = Operator {
                actor: ALICE.to_owned(),
                source: SOURCE.to_owned(),
                initiator: "simulated".to_owned(),
                host: "simulated".to_owned(),
            };
            let with = RequeueWith::Retry(Box::new(hold));
            let wish = Requeue { letter: letter.id, by, why: String::new(), with };
            self.store().requeue_letter(&wish, now).await.unwrap();
        }
    }
}
