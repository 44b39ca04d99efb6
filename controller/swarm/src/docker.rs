//! The real engine behind [`Engine`]: which path, which query, which limit.

use std::fmt::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use skep_core::identity::{ObjectKind, SwarmId};
use skep_core::observed::{ApiVersion, Plugins};
use skep_core::redact::redact;

use crate::address::EngineAddress;
use crate::engine::{Created, Engine, EngineInfo, EventStream, Nodes, Services, Task, Updated};
use crate::error::{Call, Error};
use crate::events;
use crate::objects;
use crate::registry::{self, Distribution, RegistryAuth};
use crate::transport::{Limits, Size, Transport};
use crate::wire;

/// The oldest API that is spoken: it knows sysctls and replicas per node (Docker 19.03).
pub const OLDEST_API: ApiVersion = ApiVersion { major: 1, minor: 40 };

/// The newest API that is spoken. As new as possible on purpose: a request in an older version
/// makes the engine strip the fields that version did not know from the spec that it stores.
pub const NEWEST_API: ApiVersion = ApiVersion { major: 1, minor: 53 };

/// A Docker engine.
#[derive(Debug)]
pub struct DockerEngine {
    transport: Transport,
    api: ApiVersion,
}

impl DockerEngine {
    /// Connects with the default limits and agrees on an API version.
    ///
    /// # Errors
    /// When the engine cannot be reached, or speaks no version from [`OLDEST_API`] to
    /// [`NEWEST_API`].
    pub async fn connect(address: &EngineAddress) -> Result<Self, Error> {
        Self::connect_with(address, Limits::default()).await
    }

    /// Connects with other limits.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(address: &EngineAddress, limits: Limits) -> Result<Self, Error> {
        let transport = Transport::new(address.clone(), limits);
        let version: wire::Version = read(&transport, "/version", "/version").await?;
        let api = agree(&version)?;
        tracing::debug!(docker.api_version = %api, "engine.connected");
        Ok(Self { transport, api })
    }

    /// The API version that both sides use.
    #[must_use]
    pub fn api_version(&self) -> ApiVersion {
        self.api
    }

    /// The name of the service whose task runs in this container, if one does.
    ///
    /// # Errors
    /// When the engine cannot be asked or refuses.
    pub async fn service_of_container(&self, container: &str) -> Result<Option<String>, Error> {
        let filters = json!({ "desired-state": ["running"] });
        let tasks: Vec<Value> = self.list("/tasks", Some(filters)).await?;
        let runs_in = |task: &&Value| {
            let id = task.pointer("/Status/ContainerStatus/ContainerID");
            id.and_then(Value::as_str) == Some(container)
        };
        let service = tasks.iter().find(runs_in).and_then(|task| task.get("ServiceID")?.as_str());
        let Some(service) = service else { return Ok(None) };
        let inspected = self.inspect_service(service).await?;
        Ok(inspected.pointer("/Spec/Name").and_then(Value::as_str).map(str::to_owned))
    }

    #[cfg(test)]
    pub(crate) fn transport_for_tests(&self) -> &Transport {
        &self.transport
    }

    /// The request target: version, path and query.
    fn target(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut target = format!("/v{}{path}", self.api);
        for (position, (key, value)) in query.iter().enumerate() {
            target.push(if position == 0 { '?' } else { '&' });
            target.push_str(key);
            target.push('=');
            escape(value, &mut target);
        }
        target
    }

    async fn list<T: DeserializeOwned>(
        &self,
        path: &'static str,
        filters: Option<Value>,
    ) -> Result<T, Error> {
        let filters = filters.map(|filters| filters.to_string());
        let query: Vec<_> = filters.iter().map(|filters| ("filters", filters.as_str())).collect();
        let reply = self.transport.get(path, &self.target(path, &query), Size::List).await?;
        parse(Call { method: Method::GET, path }, &reply.body)
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        let info: wire::Info = read(&self.transport, "/info", &self.target("/info", &[])).await?;
        Ok(info.into_info(self.api))
    }

    async fn list_services(&self, wanted: &Services) -> Result<Vec<Value>, Error> {
        let filters = match wanted {
            Services::All => None,
            Services::Ids(ids) if ids.is_empty() => return Ok(Vec::new()),
            Services::Ids(ids) => Some(json!({ "id": ids })),
            Services::NamePrefix(prefix) => Some(json!({ "name": [prefix] })),
        };
        let mut services: Vec<Value> = self.list("/services", filters).await?;
        if let Services::Ids(ids) = wanted {
            // The engine takes an id for a prefix.
            services.retain(|service| {
                let id = service.get("ID").and_then(Value::as_str);
                ids.iter().any(|wanted| Some(wanted.as_str()) == id)
            });
        }
        Ok(services)
    }

    async fn inspect_service(&self, id: &str) -> Result<Value, Error> {
        let target = self.target(&segment("/services/", id, ""), &[]);
        read(&self.transport, "/services/{id}", &target).await
    }

    async fn distribution(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<Distribution, Error> {
        const PATH: &str = "/distribution/{name}/json";
        let target = self.target(&segment("/distribution/", reference, "/json"), &[]);
        let reply = self.transport.ask_registry(PATH, &target, auth).await;
        let reply = reply.map_err(registry::classified)?;
        let call = Call { method: Method::GET, path: PATH };
        Ok(parse::<registry::Reply>(call, &reply.body)?.into())
    }

    async fn create_service(
        &self,
        spec: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Created, Error> {
        const PATH: &str = "/services/create";
        let target = self.target(PATH, &[]);
        let body = spec.clone();
        let reply = self.transport.write(Method::POST, PATH, &target, spec, auth).await?;
        let call = Call { method: Method::POST, path: PATH };
        let mut created: Created = parse::<wire::Created>(call, &reply.body)?.into();
        created.warnings.iter_mut().for_each(|warning| *warning = redact(warning, &body));
        Ok(created)
    }

    async fn update_service(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        const PATH: &str = "/services/{id}/update";
        let version = version.to_string();
        // No `registryAuthFrom`: without a header the engine keeps the credentials that it has.
        let target =
            self.target(&segment("/services/", id.as_str(), "/update"), &[("version", &version)]);
        let body = spec.clone();
        let reply = self.transport.write(Method::POST, PATH, &target, spec, auth).await?;
        let call = Call { method: Method::POST, path: PATH };
        let mut updated: Updated = parse::<wire::Updated>(call, &reply.body)?.into();
        updated.warnings.iter_mut().for_each(|warning| *warning = redact(warning, &body));
        Ok(updated)
    }

    async fn remove_service(&self, id: &SwarmId) -> Result<(), Error> {
        let target = self.target(&segment("/services/", id.as_str(), ""), &[]);
        self.transport.write(Method::DELETE, "/services/{id}", &target, Bytes::new(), None).await?;
        Ok(())
    }

    async fn list_tasks(&self, of: &Services) -> Result<Vec<Task>, Error> {
        let filters = match of {
            Services::All => None,
            Services::Ids(ids) if ids.is_empty() => return Ok(Vec::new()),
            Services::Ids(ids) => Some(json!({ "service": ids })),
            // Task names begin with the name of their service.
            Services::NamePrefix(prefix) => Some(json!({ "name": [prefix] })),
        };
        let tasks: Vec<wire::Task> = self.list("/tasks", filters).await?;
        Ok(tasks.into_iter().map(Task::from).collect())
    }

    async fn list_objects(&self, kind: ObjectKind) -> Result<Vec<Value>, Error> {
        let paths = objects::paths(kind);
        let mut listed: Vec<Value> = self.list(paths.list, None).await?;
        if kind == ObjectKind::Network {
            // The swarm has a `host` and a `bridge` of its own, which services name and lists
            // leave out; the engine shows them only when asked for by name and scope.
            for name in ["host", "bridge"] {
                match self.inspect_object(kind, name).await {
                    Ok(network) => listed.push(network),
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(listed)
    }

    async fn inspect_object(&self, kind: ObjectKind, id: &str) -> Result<Value, Error> {
        let paths = objects::paths(kind);
        let query: &[_] = if kind == ObjectKind::Network { &[("scope", "swarm")] } else { &[] };
        let target = self.target(&segment(&format!("{}/", paths.list), id, ""), query);
        read(&self.transport, paths.one, &target).await
    }

    async fn create_object(&self, kind: ObjectKind, request: Bytes) -> Result<Created, Error> {
        let path = objects::paths(kind).create;
        let (target, body) = (self.target(path, &[]), request.clone());
        let reply = self.transport.write(Method::POST, path, &target, request, None).await?;
        let call = Call { method: Method::POST, path };
        let mut created: Created = parse::<wire::Created>(call, &reply.body)?.into();
        created.warnings.iter_mut().for_each(|warning| *warning = redact(warning, &body));
        Ok(created)
    }

    async fn update_object(
        &self,
        kind: ObjectKind,
        id: &SwarmId,
        version: u64,
        request: Bytes,
    ) -> Result<(), Error> {
        let paths = objects::paths(kind);
        let before = format!("{}/", paths.list);
        let version = version.to_string();
        let target =
            self.target(&segment(&before, id.as_str(), "/update"), &[("version", &version)]);
        self.transport.write(Method::POST, paths.update, &target, request, None).await?;
        Ok(())
    }

    async fn remove_object(&self, kind: ObjectKind, id: &SwarmId) -> Result<(), Error> {
        let paths = objects::paths(kind);
        let target = self.target(&segment(&format!("{}/", paths.list), id.as_str(), ""), &[]);
        self.transport.write(Method::DELETE, paths.one, &target, Bytes::new(), None).await?;
        Ok(())
    }

    async fn plugins(&self) -> Result<Plugins, Error> {
        let plugins: Vec<wire::Plugin> = self.list("/plugins", None).await?;
        Ok(Plugins::of(plugins.into_iter().flat_map(wire::Plugin::into_capabilities)))
    }

    async fn nodes(&self) -> Result<Nodes, Error> {
        let nodes: Vec<wire::Node> = self.list("/nodes", None).await?;
        Ok(wire::count(&nodes))
    }

    async fn events(&self) -> Result<EventStream, Error> {
        let types = ["service", "network", "node", "secret", "config"];
        let filters = json!({ "type": types, "scope": ["swarm"] });
        let target = self.target(events::PATH, &[("filters", &filters.to_string())]);
        let (body, connection) = self.transport.open(events::PATH, &target).await?;
        Ok(events::decode(body, connection))
    }
}

async fn read<T: DeserializeOwned>(
    transport: &Transport,
    path: &'static str,
    target: &str,
) -> Result<T, Error> {
    let reply = transport.get(path, target, Size::One).await?;
    parse(Call { method: Method::GET, path }, &reply.body)
}

fn parse<T: DeserializeOwned>(call: Call, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Protocol { call, source: error.into() })
}

/// The newest version that both sides speak.
fn agree(version: &wire::Version) -> Result<ApiVersion, Error> {
    let (engine_oldest, engine_newest) = version.range()?;
    let api = engine_newest.min(NEWEST_API);
    if api < OLDEST_API || api < engine_oldest {
        return Err(Error::ApiVersion {
            engine_oldest,
            engine_newest,
            oldest: OLDEST_API,
            newest: NEWEST_API,
        });
    }
    Ok(api)
}

/// A path with one variable part.
fn segment(before: &str, variable: &str, after: &str) -> String {
    let mut path = before.to_owned();
    escape(variable, &mut path);
    path.push_str(after);
    path
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            let _writing_to_a_string_cannot_fail = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(newest: &str, oldest: Option<&str>) -> Result<ApiVersion, Error> {
        agree(
            &serde_json::from_value(json!({ "ApiVersion": newest, "MinAPIVersion": oldest }))
                .unwrap(),
        )
    }

    #[test]
    fn the_newest_common_version_is_used() {
        assert_eq!(version("1.41", Some("1.12")).unwrap().to_string(), "1.41");
        assert_eq!(version("1.99", Some("1.44")).unwrap(), NEWEST_API);
        assert_eq!(version("1.40", None).unwrap(), OLDEST_API);
    }

    #[test]
    fn an_engine_out_of_reach_says_what_it_speaks() {
        let old = version("1.39", Some("1.12")).unwrap_err().to_string();
        assert!(old.contains("1.39") && old.contains("1.40"), "{old}");
        assert_eq!(version("2.5", Some("2.0")).unwrap_err().kind(), "api_version");
        assert_eq!(version("new", None).unwrap_err().kind(), "undecodable");
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(
            segment("/services/", "../info?x=1", "/update"),
            "/services/..%2Finfo%3Fx%3D1/update"
        );
        assert_eq!(segment("/", "ä b", ""), "/%C3%A4%20b");
    }
}
