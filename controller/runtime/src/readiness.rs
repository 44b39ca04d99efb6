//! Asks the connectors, while the process serves, whether they answer as MCP servers.
//!
//! Only connectors that are declared, ours and running are asked, one at a time each, with a few
//! side by side; a change of the service is a reason to ask sooner. What is found is kept in
//! memory and told: it proposes nothing. Every process asks for itself, whether it leads or not,
//! as what can be reached depends on where one stands.

mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use serde::Serialize;
use skep_core::desired::{Desired, McpEndpoint};
use skep_core::identity::{ObjectKind, ServiceName, SwarmId};
use skep_core::readiness::{Finding, Peer, Readiness, State};
use skep_probe::{Answer, Blame, Limits, Target};
use skep_swarm::reflector;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::schedule::{Schedule, Subject};
use crate::controller::Context;
use crate::error::Chain;
use crate::status::Status;
use crate::{Error, wake};

/// How many connectors are asked at once: enough for a thousand within an interval, too few to
/// be felt by anybody.
const MOST_AT_ONCE: usize = 8;
/// The same while somebody waits for the answers: a fleet out of reach is told in seconds.
const MOST_IN_A_HURRY: usize = 32;
/// Changes of the swarm come in bursts; who is to be asked is worked out once for each.
const SETTLE: Duration = Duration::from_millis(500);
/// Answers come in by the dozen; what is known is copied for readers once for several of them.
const TELL: Duration = Duration::from_millis(100);

/// How connectors are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probing {
    /// The name or IP address at which published ports are reached from here.
    pub address: String,
    /// Time between two questions to one connector.
    pub interval: Duration,
}

/// Asks once where this endpoint is published.
pub async fn ask(address: &str, endpoint: &McpEndpoint) -> Finding {
    let (port, path) = match endpoint {
        McpEndpoint::Published { port, path } => (*port, path.clone()),
        McpEndpoint::Unasked { reason } => return Finding::Unasked((*reason).to_owned()),
    };
    let target = Target { host: address.to_owned(), port, path };
    match skep_probe::ask(&target, &Limits::default()).await {
        Ok(Answer::Introduced { protocol_version, server_name, server_version, .. }) => {
            Finding::Answers(Peer {
                protocol_version: Some(protocol_version),
                name: server_name,
                version: server_version,
            })
        }
        Ok(Answer::WantsCredentials { .. }) => Finding::Answers(Peer::GUARDED),
        Err(error) => {
            let why = Chain(&error).to_string();
            match error.blame() {
                Blame::Nobody => Finding::OutOfReach(why),
                Blame::Listener => Finding::NothingListens(why),
                Blame::Server => Finding::Fails(why),
            }
        }
    }
}

/// Asks many once, side by side, for a person who waits.
pub async fn ask_all(
    address: &str,
    endpoints: Vec<(ServiceName, McpEndpoint)>,
) -> BTreeMap<ServiceName, Finding> {
    let questions = endpoints.into_iter().map(|(name, endpoint)| async move {
        let finding = ask(address, &endpoint).await;
        (name, finding)
    });
    futures::stream::iter(questions).buffer_unordered(MOST_IN_A_HURRY).collect().await
}

/// What is known of the connectors, for `/status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReadinessReport {
    /// How many answer.
    pub ready: usize,
    /// How many are reached and do not.
    pub not_ready: usize,
    /// Of how many nothing is known.
    pub unknown: usize,
    /// Each connector that should run and does.
    pub connectors: BTreeMap<ServiceName, Readiness>,
}

impl ReadinessReport {
    fn new(connectors: BTreeMap<ServiceName, Readiness>) -> Self {
        let count = |state| connectors.values().filter(|known| known.state == state).count();
        Self {
            ready: count(State::Ready),
            not_ready: count(State::NotReady),
            unknown: count(State::Unknown),
            connectors,
        }
    }

    /// Whether this connector answers.
    pub(crate) fn state(&self, name: &ServiceName) -> State {
        self.connectors.get(name).map_or(State::Unknown, |known| known.state)
    }
}

/// Asks until it is stopped.
pub(crate) struct Prober {
    context: Arc<Context>,
    status: watch::Sender<Status>,
    probing: Probing,
    schedule: Schedule,
    asking: JoinSet<(ServiceName, Subject, Finding)>,
    swarm: Option<watch::Receiver<reflector::View>>,
}

impl Prober {
    pub(crate) fn new(
        context: Arc<Context>,
        status: watch::Sender<Status>,
        probing: Probing,
    ) -> Self {
        let swarm = context.reflector.get().map(reflector::Handle::subscribe);
        let schedule = Schedule::new(probing.interval);
        Self { context, status, probing, schedule, asking: JoinSet::new(), swarm }
    }

    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let (mut aim_at, mut tell_at) = (Instant::now(), Instant::now());
        loop {
            if aim_at <= Instant::now() {
                self.aim().await;
                aim_at = Instant::now() + self.probing.interval;
            }
            self.start_due();
            if tell_at <= Instant::now() && self.tell() {
                tell_at = Instant::now() + TELL;
            }
            let has_room = self.asking.len() < MOST_AT_ONCE;
            let due = self.schedule.next_due().filter(|_| has_room);
            let news = self.schedule.has_changed().then_some(tell_at);
            let until = [due, news].into_iter().flatten().fold(aim_at, Instant::min);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(until) => {}
                () = wake::changed(self.swarm.as_mut()) => {
                    aim_at = aim_at.min(Instant::now() + SETTLE);
                }
                Some(done) = self.asking.join_next() => {
                    // A question that panicked is a fault of ours; the interval asks again.
                    if let Ok((name, subject, finding)) = done {
                        self.note(&name, &subject, finding);
                    }
                }
            }
        }
    }

    /// Works out who is to be asked. What cannot be read leaves everything as it was.
    async fn aim(&mut self) {
        match self.subjects().await {
            Ok(Some(subjects)) => {
                self.schedule.aim(subjects, Instant::now(), self.context.clock.now());
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(error = %Chain(&error), "readiness.not_aimed"),
        }
    }

    /// Declared, ours, and running. `None` while that is not known.
    async fn subjects(&self) -> Result<Option<BTreeMap<ServiceName, Subject>>, Error> {
        let view = self.context.reflector.get().map(reflector::Handle::view);
        let Some(snapshot) = view.as_ref().and_then(reflector::View::ready) else {
            return Ok(None);
        };
        let Some(desired) = self.declared().await? else { return Ok(None) };
        let owned = self.context.store.owned(&snapshot.cluster).await?;
        let ours: BTreeMap<ServiceName, SwarmId> = owned
            .into_iter()
            .filter(|object| object.key.kind == ObjectKind::Service)
            .map(|object| (ServiceName::new(object.key.name), object.id))
            .collect();
        let only = self.context.options.only.as_ref();
        let subjects = desired.services.values().filter_map(|service| {
            let live = snapshot.services.get(&service.name)?;
            let is_ours = ours.get(&service.name) == Some(&live.id);
            let is_chosen = only.is_none_or(|only| only.contains(&service.name));
            let runs = service.running && live.tasks.running > 0;
            let subject = Subject {
                id: live.id.clone(),
                version: live.version,
                running: live.tasks.running,
                endpoint: service.mcp.clone(),
            };
            (is_ours && is_chosen && runs).then(|| (service.name.clone(), subject))
        });
        Ok(Some(subjects.collect()))
    }

    /// What is declared: the leader's passes read it anyway.
    async fn declared(&self) -> Result<Option<Arc<Desired>>, Error> {
        if self.status.borrow().leader {
            return Ok(self.context.declared());
        }
        self.context.desire(None, None).await.map(Some)
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.asking.len() < MOST_AT_ONCE {
            let Some((name, subject)) = self.schedule.take_due(now) else { return };
            let address = self.probing.address.clone();
            self.asking.spawn(async move {
                let finding = ask(&address, &subject.endpoint).await;
                (name, subject, finding)
            });
        }
    }

    fn note(&mut self, name: &ServiceName, subject: &Subject, finding: Finding) {
        let random = self.context.random.bits128();
        let (now, clock) = (Instant::now(), self.context.clock.now());
        let state = finding.state().as_str();
        self.context.metrics.count_probe(state);
        let Some((before, after)) = self.schedule.note(name, subject, finding, now, clock, random)
        else {
            return;
        };
        if before == after.state {
            return;
        }
        let (state, before) = (after.state.as_str(), before.as_str());
        if after.state == State::NotReady {
            let reason = after.reason;
            tracing::warn!(service.name = %name, state, before, reason, "connector.readiness");
        } else {
            let reason = after.reason;
            tracing::info!(service.name = %name, state, before, reason, "connector.readiness");
        }
    }

    /// Shows what has changed to everybody who looks; false when nothing has.
    fn tell(&mut self) -> bool {
        let Some(connectors) = self.schedule.take_changed() else { return false };
        let report = Arc::new(ReadinessReport::new(connectors));
        self.context.readiness.send_if_modified(|shown| {
            self.context.metrics.show_readiness(shown, &report);
            let states = |report: &ReadinessReport| -> Vec<_> {
                report.connectors.iter().map(|(name, known)| (name.clone(), known.state)).collect()
            };
            let is_news = states(shown) != states(&report);
            *shown = Arc::clone(&report);
            is_news
        });
        self.status.send_modify(|status| status.readiness = Some(report));
        true
    }
}
