//! Writes on their way: what they meet before they arrive, what they do, what becomes of the reply.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use skep_core::identity::{ObjectKind, ServiceName, SwarmId};

use super::calls::{CallSite, Fault};
use super::journal::{Effect, EffectKind, action_of};
use super::objects::{Refusal, plural};
use super::scheduling::Due;
use super::service::text;
use super::state::State;
use super::{FakeSwarm, Quorum};
use crate::error::{Call, Error};
use crate::objects::paths;

/// A write, apart from how it gets there.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Create(Value),
    Update(String, u64, Value),
    Remove(String),
    Make(ObjectKind, Value),
    Relabel(ObjectKind, String, u64, Value),
    Unmake(ObjectKind, String),
}

/// A write that arrives after its connection has ended.
pub(super) type Landing = Request;

impl Request {
    fn call(&self) -> Call {
        match self {
            Self::Create(_) => Call { method: Method::POST, path: "/services/create" },
            Self::Update(..) => Call { method: Method::POST, path: "/services/{id}/update" },
            Self::Remove(_) => Call { method: Method::DELETE, path: "/services/{id}" },
            Self::Make(kind, _) => Call { method: Method::POST, path: paths(*kind).create },
            Self::Relabel(kind, ..) => Call { method: Method::POST, path: paths(*kind).update },
            Self::Unmake(kind, _) => Call { method: Method::DELETE, path: paths(*kind).one },
        }
    }

    pub(super) fn make(kind: ObjectKind, request: &Bytes) -> Result<Self, Refusal> {
        Ok(Self::Make(kind, body(request)?))
    }

    pub(super) fn relabel(
        kind: ObjectKind,
        id: &SwarmId,
        version: u64,
        request: &Bytes,
    ) -> Result<Self, Refusal> {
        Ok(Self::Relabel(kind, id.as_str().to_owned(), version, body(request)?))
    }

    pub(super) fn create(spec: &Bytes) -> Result<Self, Refusal> {
        body(spec).map(Self::Create)
    }

    pub(super) fn update(id: &SwarmId, version: u64, spec: &Bytes) -> Result<Self, Refusal> {
        Ok(Self::Update(id.as_str().to_owned(), version, body(spec)?))
    }
}

fn body(spec: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(spec).map_err(|error| (400, error.to_string()))
}

/// The error of this refusal, read as the client reads a reply.
pub(super) fn refused(call: Call, (status, message): Refusal) -> Error {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Error::from_reply(call, status, json!({"message": message}).to_string().as_bytes())
}

const LEADER_LOST: &str = "raft: failed to process the request: node lost leader status";

impl FakeSwarm {
    /// A write with its fault; the id of what it is about.
    pub(super) async fn write(&self, request: Request) -> Result<String, Error> {
        let call = request.call();
        match self.meet(&call).await? {
            Fault::HeldAfter => {
                let _nobody_hears_it = self.up_to_now().perform(&request);
                self.stirred.notify_one();
                self.hold().await
            }
            Fault::TimesOut(after) => {
                let _nobody_hears_it = self.up_to_now().perform(&request);
                self.stirred.notify_one();
                tokio::time::sleep(after).await;
                Err(Error::Timeout { call, after, sent: true })
            }
            fault => {
                let answer = self.up_to_now().arrive(&request, fault);
                self.stirred.notify_one();
                answer
            }
        }
    }

    /// Counts the call and gives it the part of its fault that comes before it arrives.
    pub(super) async fn meet(&self, call: &Call) -> Result<Fault, Error> {
        let fault = self.up_to_now().fault_of(call);
        match fault {
            Fault::HeldBefore => self.hold().await,
            Fault::Unreachable => {
                let address = "fake".to_owned();
                Err(Error::Unreachable { address, source: "no connection".into() })
            }
            Fault::Slow(by) => {
                tokio::time::sleep(by).await;
                Ok(Fault::Passes)
            }
            fault => Ok(fault),
        }
    }

    /// Holds the caller for ever.
    pub(super) async fn hold(&self) -> ! {
        self.held.notify_one();
        loop {
            std::future::pending::<()>().await;
        }
    }
}

impl State {
    fn fault_of(&mut self, call: &Call) -> Fault {
        let site = CallSite { index: self.calls, call: call.clone() };
        self.calls += 1;
        self.script.of(&site)
    }

    /// The request meets its fault and, if that lets it, does its work.
    fn arrive(&mut self, request: &Request, fault: Fault) -> Result<String, Error> {
        let call = request.call();
        let lost = |call: Call| Error::ConnectionLost { call, source: "broken pipe".into() };
        let leader_lost = |call: Call| refused(call, (500, LEADER_LOST.to_owned()));
        match fault {
            Fault::Lost => Err(lost(call)),
            Fault::Refused(status) => Err(refused(call, (status, "scripted".to_owned()))),
            Fault::LandsLater(by) => {
                self.send_off(request.clone(), by);
                Err(lost(call))
            }
            Fault::LeaderLost(commits) => {
                if commits {
                    let _the_next_leader_knows = self.perform(request);
                }
                self.change_leader();
                Err(leader_lost(call))
            }
            Fault::ReplyLost => self.perform(request).and(Err(lost(call))),
            Fault::AppliedAndOutOfSequence => {
                self.perform(request).and(Err(Error::OutOfSequence { call }))
            }
            Fault::Overtaken => {
                self.overtake(request);
                self.perform(request)
            }
            _ => self.perform(request),
        }
    }

    fn send_off(&mut self, request: Request, by: Duration) {
        let number = self.next_index();
        self.landings.insert(number, request);
        self.plan_ahead(by, Due::Lands(number));
    }

    /// A request that was on its way arrives.
    pub(super) fn land(&mut self, number: u64) {
        if let Some(request) = self.landings.remove(&number) {
            let _nobody_hears_the_answer = self.perform(&request);
        }
    }

    /// Somebody else does something to what the request is about.
    fn overtake(&mut self, request: &Request) {
        match request {
            Request::Create(spec) => {
                let theirs = json!({"Name": spec.get("Name"), "TaskTemplate": {"ContainerSpec": {
                    "Image": "example/theirs:1" } } });
                self.create(&theirs);
            }
            Request::Update(_, _, spec) => {
                let name = text(spec, "/Name").to_owned();
                let image = "/TaskTemplate/ContainerSpec/Image";
                self.meddle(&name, image, json!("example/theirs:1"));
            }
            Request::Make(kind, spec) => {
                let theirs = json!({"Name": spec.get("Name"), "Labels": {}});
                let _theirs_is_there = self.make(plural(*kind), &theirs);
            }
            Request::Remove(_) | Request::Relabel(..) | Request::Unmake(..) => {}
        }
    }

    /// Does the work, or refuses as the engine does.
    pub(super) fn perform(&mut self, request: &Request) -> Result<String, Error> {
        let call = request.call();
        if self.quorum != Quorum::Kept {
            return Err(refused(call, (500, LEADER_LOST.to_owned())));
        }
        match request {
            Request::Create(spec) => {
                if let Some(refusal) = self.refuses_create(spec) {
                    return Err(refused(call, refusal));
                }
                let id = self.create(spec);
                self.note(EffectKind::Create, &id, spec);
                Ok(id)
            }
            Request::Update(id, version, spec) => {
                let id = self.resolve(id).map_err(|refusal| refused(call.clone(), refusal))?;
                if let Some(refusal) = self.refuses_update(&id, *version, spec) {
                    return Err(refused(call, refusal));
                }
                self.note(EffectKind::Update, &id, spec);
                self.update(&id, spec.clone());
                Ok(id)
            }
            Request::Remove(id) => {
                let id = self.resolve(id).map_err(|refusal| refused(call.clone(), refusal))?;
                let spec = self.services.get(&id).map(|service| service.spec.clone());
                self.note(EffectKind::Remove, &id, &spec.unwrap_or_default());
                self.remove(&id);
                Ok(id)
            }
            Request::Make(kind, spec) => {
                let made = self.make(plural(*kind), spec);
                let id = made.map_err(|refusal| refused(call, refusal))?;
                self.note(EffectKind::Create, &id, &named(*kind, spec));
                Ok(id)
            }
            Request::Relabel(kind, id, version, spec) => {
                let written = self.relabel(plural(*kind), id, *version, spec);
                written.map_err(|refusal| refused(call, refusal))?;
                self.note(EffectKind::Update, id, &named(*kind, spec));
                Ok(id.clone())
            }
            Request::Unmake(kind, id) => {
                let known = self.objects.of(plural(*kind)).get(id);
                let spec = known.map(|object| object.spec.clone()).unwrap_or_default();
                let removed = self.unmake(plural(*kind), id);
                removed.map_err(|refusal| refused(call, refusal))?;
                self.note(EffectKind::Remove, id, &named(*kind, &spec));
                Ok(id.clone())
            }
        }
    }

    fn note(&mut self, kind: EffectKind, id: &str, spec: &Value) {
        let (id, name) = (id.to_owned(), text(spec, "/Name").to_owned());
        let action = if kind == EffectKind::Remove { None } else { action_of(spec) };
        self.journal.push(Effect { kind, id, name, action });
    }

    /// The id that a text means: an id, then a name, then the only start of an id.
    pub(super) fn resolve(&self, meant: &str) -> Result<String, Refusal> {
        resolve(&self.services, meant)
    }
}

/// A spec that is called as the journal calls what is no service.
fn named(kind: ObjectKind, spec: &Value) -> Value {
    let name = ServiceName::object(kind, text(spec, "/Name"));
    json!({"Name": name, "Labels": spec.get("Labels")})
}

pub(super) fn resolve(services: &super::state::Services, meant: &str) -> Result<String, Refusal> {
    if services.contains_key(meant) {
        return Ok(meant.to_owned());
    }
    if let Some(named) = services.values().find(|service| service.name() == meant) {
        return Ok(named.id.clone());
    }
    let mut starts = services.keys().filter(|id| id.starts_with(meant));
    match (starts.next(), starts.count()) {
        (Some(only), 0) => Ok(only.clone()),
        (None, _) => Err((404, format!("service {meant} not found"))),
        (Some(_), more) => {
            Err((500, format!("service {meant} is ambiguous ({} matches found)", more + 1)))
        }
    }
}
