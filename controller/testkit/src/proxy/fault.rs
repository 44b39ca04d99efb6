//! Faults that a test orders: the next request that matches meets one, once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::record::endpoint;
use crate::process::wait_until;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The connection closes; the engine never gets the request.
    DropBeforeSend,
    /// The engine gets the request and answers; the connection closes instead
    /// of passing the answer on.
    DropReplyAfterEffect,
    /// The request is forwarded after this long.
    Delay(Duration),
    /// The request waits before the engine until [`FaultHandle::release`]; a
    /// client that is killed meanwhile takes its request with it.
    HoldBeforeSend,
    /// The engine gets the request; its answer waits until
    /// [`FaultHandle::release`].
    HoldReply,
    /// The engine never gets the request; the client gets this status with a
    /// message in Docker's form.
    Refuse(u16),
}

/// Which request meets a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    method: Option<String>,
    prefix: String,
}

impl Matcher {
    /// Requests with this method whose path, without the API version, starts
    /// with `prefix`.
    #[must_use]
    pub fn new(method: &str, prefix: &str) -> Self {
        Self { method: Some(method.to_owned()), prefix: prefix.to_owned() }
    }

    /// Any request.
    #[must_use]
    pub fn any() -> Self {
        Self { method: None, prefix: String::new() }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && endpoint(path).starts_with(&self.prefix)
    }
}

/// Follows one ordered fault. Dropping it releases a held request.
#[derive(Debug)]
pub struct FaultHandle {
    signals: Arc<Signals>,
}

impl FaultHandle {
    /// Whether a request has met the fault: for [`FaultKind::HoldReply`] and
    /// [`FaultKind::DropReplyAfterEffect`], whether the engine has answered.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        *self.signals.reached.borrow()
    }

    /// Waits for that.
    pub async fn reached(&self) {
        let mut reached = self.signals.reached.subscribe();
        // The sender lives as long as this handle.
        let _still_open = reached.wait_for(|reached| *reached).await;
    }

    /// Waits for that without a runtime; `false` when `limit` passed first.
    #[must_use]
    pub fn wait_reached(&self, limit: Duration) -> bool {
        wait_until(limit, || self.was_reached())
    }

    /// Lets a held request go on.
    pub fn release(&self) {
        self.signals.released.send_replace(true);
    }
}

impl Drop for FaultHandle {
    fn drop(&mut self) {
        self.release();
    }
}

#[derive(Debug)]
struct Signals {
    reached: watch::Sender<bool>,
    released: watch::Sender<bool>,
}

/// The fault that one request meets.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    signals: Arc<Signals>,
}

impl Fault {
    pub(super) fn mark_reached(&self) {
        self.signals.reached.send_replace(true);
    }

    pub(super) async fn wait_for_release(&self) {
        let mut released = self.signals.released.subscribe();
        let _still_open = released.wait_for(|released| *released).await;
    }
}

/// Ordered faults that no request has met yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    waiting: Arc<Mutex<Vec<(Matcher, Fault)>>>,
}

impl Faults {
    pub(super) fn order(&self, kind: FaultKind, matcher: Matcher) -> FaultHandle {
        let signals = Arc::new(Signals {
            reached: watch::Sender::new(false),
            released: watch::Sender::new(false),
        });
        let fault = Fault { kind, signals: Arc::clone(&signals) };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((matcher, fault));
        FaultHandle { signals }
    }

    /// Takes the first fault that matches.
    pub(super) fn meet(&self, method: &str, path: &str) -> Option<Fault> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let position = waiting.iter().position(|(matcher, _)| matcher.matches(method, path))?;
        Some(waiting.remove(position).1)
    }

    pub(super) fn clear(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_met_once_and_only_by_what_matches() {
        let faults = Faults::default();
        let _handle =
            faults.order(FaultKind::DropBeforeSend, Matcher::new("POST", "/services/create"));
        assert!(faults.meet("GET", "/services/create").is_none());
        assert!(faults.meet("POST", "/v1.41/services/a/update").is_none());
        assert!(faults.meet("POST", "/v1.41/services/create?x").is_some());
        assert!(faults.meet("POST", "/v1.41/services/create").is_none());
    }
}
