//! One look at the whole swarm.
//!
//! # Guarantees
//! - A snapshot is only made of an engine that manages a swarm with a working leader: without
//!   one, lists answer with stale data and the status 200.
//! - A service that cannot be read makes the whole snapshot fail and is named; leaving it out
//!   would look like its removal.
//!
//! # Caveats
//! The lists are read at the same time but not in one transaction: a service created in between
//! may be there without its tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::try_join;
use jiff::Timestamp;
use serde_json::Value;
use skep_core::identity::{ClusterId, ObjectKind, ServiceName, SwarmId};
use skep_core::observed::{ObservedService, PublishedPort, Snapshot, TaskSummary, UpdateStatus};
use skep_core::plan::ids_used;
use skep_core::ports::Clock;

use crate::engine::{Engine, Services};
use crate::error::Error;
use crate::listed::Listed;
use crate::tasks;

/// Reads everything.
///
/// # Errors
/// When the engine is no manager, has no quorum, cannot be asked, or reports a service that
/// cannot be understood.
pub async fn take_snapshot(engine: &dyn Engine, clock: &dyn Clock) -> Result<Snapshot, Error> {
    let info = engine.info().await?;
    let cluster = info.trusted_cluster()?;
    // The age of a snapshot is that of its oldest part.
    let taken_at = clock.now();
    let (services, task_list, networks, secrets, configs, nodes) = try_join!(
        engine.list_services(&Services::All),
        engine.list_tasks(&Services::All),
        engine.list_objects(ObjectKind::Network),
        engine.list_objects(ObjectKind::Secret),
        engine.list_objects(ObjectKind::Config),
        engine.nodes(),
    )?;
    nodes.quorum()?;
    let mut summaries = tasks::summaries(&task_list);
    let mut read = Vec::with_capacity(services.len());
    for reported in services {
        let mut service = service(reported)?;
        service.tasks = tasks::of(&service, &mut summaries);
        read.push(service);
    }
    let mut snapshot = Snapshot {
        cluster,
        api_version: info.api_version,
        taken_at,
        services: read.into_iter().collect(),
        networks: BTreeMap::new(),
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        objects: Arc::default(),
        nodes: nodes.counts,
    };
    for (kind, reported) in [
        (ObjectKind::Network, networks),
        (ObjectKind::Secret, secrets),
        (ObjectKind::Config, configs),
    ] {
        Listed::read(kind, reported)?.put_into(&mut snapshot);
    }
    Ok(snapshot)
}

/// Reads everything of one kind; `None` when the engine manages another swarm than the known one.
///
/// # Errors
/// When the engine has no leader, cannot be asked, or reports an object that cannot be understood.
pub(crate) async fn list_objects(
    engine: &dyn Engine,
    kind: ObjectKind,
    known: &ClusterId,
) -> Result<Option<Listed>, Error> {
    // Without a leader a list is stale and has the status 200.
    if engine.info().await?.trusted_cluster()? != *known {
        return Ok(None);
    }
    Listed::read(kind, engine.list_objects(kind).await?).map(Some)
}

/// Reads some services with their tasks; one that does not exist is left out.
///
/// # Errors
/// When the engine cannot be asked or reports a service that cannot be understood.
pub async fn read_services(
    engine: &dyn Engine,
    ids: &[SwarmId],
) -> Result<Vec<ObservedService>, Error> {
    let mut services = Vec::with_capacity(ids.len());
    for reported in engine.list_services(&Services::Ids(ids.to_vec())).await? {
        services.push(service(reported)?);
    }
    let mut summaries = summaries_of(engine, &services).await?;
    for service in &mut services {
        service.tasks = tasks::of(service, &mut summaries);
    }
    Ok(services)
}

/// The task counts of services that existed a moment ago.
async fn summaries_of(
    engine: &dyn Engine,
    services: &[ObservedService],
) -> Result<BTreeMap<SwarmId, TaskSummary>, Error> {
    let ids = services.iter().map(|service| service.id.clone()).collect();
    let tasks = match engine.list_tasks(&Services::Ids(ids)).await {
        Ok(tasks) => tasks,
        // One of them is gone by now, and the engine then refuses the question for all of them.
        Err(Error::NotFound { .. }) => engine.list_tasks(&Services::All).await?,
        Err(error) => return Err(error),
    };
    Ok(tasks::summaries(&tasks))
}

/// Reads one service as the engine reports it; its tasks are reported elsewhere.
///
/// # Errors
/// [`Error::Undecodable`] with the name of the service and what is missing.
pub fn service(mut reported: Value) -> Result<ObservedService, Error> {
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let name = text(&reported, "/Spec/Name");
    let id = text(&reported, "/ID");
    let wrong = |why: &str| {
        let called = name.as_deref().or(id.as_deref()).unwrap_or("without a name");
        Error::Undecodable { object: format!("service {called}"), why: why.to_owned() }
    };
    let (Some(service_id), Some(service_name)) = (&id, &name) else {
        return Err(wrong("it has no ID or no Spec.Name"));
    };
    let version = reported
        .pointer("/Version/Index")
        .and_then(Value::as_u64)
        .ok_or_else(|| wrong("Version.Index is not a number"))?;
    let updated_at = text(&reported, "/UpdatedAt")
        .and_then(|time| time.parse::<Timestamp>().ok())
        .ok_or_else(|| wrong("UpdatedAt is not a time"))?;
    let ports = ports(&reported).ok_or_else(|| wrong("a published port is not a port number"))?;
    let update = text(&reported, "/UpdateStatus/State").map(|state| UpdateStatus {
        state,
        message: text(&reported, "/UpdateStatus/Message").unwrap_or_default(),
        started_at: text(&reported, "/UpdateStatus/StartedAt").and_then(|time| time.parse().ok()),
    });
    let returns_to = reported.get("PreviousSpec").into_iter().flat_map(ids_used);
    let returns_to = returns_to.map(str::to_owned).collect();
    let spec = match reported.get_mut("Spec").map(Value::take) {
        Some(spec @ Value::Object(_)) => spec,
        _ => return Err(wrong("Spec is not an object")),
    };
    Ok(ObservedService {
        id: SwarmId::new(service_id.as_str()),
        name: ServiceName::new(service_name.as_str()),
        version,
        spec: spec.into(),
        ports,
        update,
        tasks: TaskSummary::default(),
        updated_at,
        returns_to,
    })
}

/// The ports that a service holds: those that Swarm has given it, and those that its spec asks
/// for, because a create or update that was just accepted holds them before Swarm reports them.
fn ports(service: &Value) -> Option<Vec<PublishedPort>> {
    let mut ports = BTreeSet::new();
    for list in ["/Endpoint/Ports", "/Spec/EndpointSpec/Ports"] {
        let list = service.pointer(list).and_then(Value::as_array);
        for port in list.map(Vec::as_slice).unwrap_or_default() {
            let published = match port.get("PublishedPort") {
                None | Some(Value::Null) => 0,
                // The engine accepts numbers that are no port; nobody can publish those.
                Some(number) => u16::try_from(number.as_u64()?).unwrap_or(0),
            };
            // Zero is a port that Swarm chooses, or that host mode leaves to the node.
            if published == 0 {
                continue;
            }
            let word = |key: &str, default: &str| {
                let word = port.get(key).and_then(Value::as_str).unwrap_or_default();
                if word.is_empty() { default.to_owned() } else { word.to_owned() }
            };
            ports.insert(PublishedPort {
                published,
                protocol: word("Protocol", "tcp"),
                ingress: word("PublishMode", "ingress") == "ingress",
            });
        }
    }
    Some(ports.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reported() -> Value {
        json!({
            "ID": "s1", "Version": { "Index": 12 }, "UpdatedAt": "2026-11-20T22:00:17.5Z",
            "Spec": { "Name": "web", "Unknown": { "Kept": [1, 2.5, null] },
                "EndpointSpec": { "Ports": [{ "PublishedPort": 81, "PublishMode": "host" }] } },
            "Endpoint": { "Ports": [
                { "Protocol": "tcp", "PublishedPort": 80, "PublishMode": "ingress" },
                { "Protocol": "udp", "PublishedPort": 53 },
                { "Protocol": "tcp", "TargetPort": 9, "PublishMode": "host" }] },
            "UpdateStatus": { "State": "updating", "Message": "m" }
        })
    }

    #[test]
    fn a_service_keeps_its_spec_as_it_is() {
        let service = service(reported()).unwrap();
        assert_eq!(service.spec, reported()["Spec"]);
        assert_eq!((service.version, service.name.as_str()), (12, "web"));
        assert!(service.update.unwrap().is_rolling());
        let ports: Vec<_> =
            service.ports.iter().map(|p| (p.published, p.protocol.as_str(), p.ingress)).collect();
        assert_eq!(ports, [(53, "udp", true), (80, "tcp", true), (81, "tcp", false)]);
    }

    #[test]
    fn a_service_that_cannot_be_read_is_named() {
        for (pointer, value) in [
            ("/Version/Index", json!("12")),
            ("/UpdatedAt", json!("yesterday")),
            ("/Endpoint/Ports/0/PublishedPort", json!("80")),
            ("/ID", json!(null)),
        ] {
            let mut broken = reported();
            *broken.pointer_mut(pointer).unwrap() = value;
            let error = service(broken).unwrap_err();
            assert!(error.to_string().contains("service web"), "{pointer}: {error}");
        }
        assert!(service(json!({ "ID": "s2", "Spec": 3 })).unwrap_err().to_string().contains("s2"));
    }
}
