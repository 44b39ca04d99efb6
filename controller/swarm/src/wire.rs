//! The few fields of the engine's replies that are used, apart from service specs.
//!
//! Everything is optional on the wire: the engine leaves out what is empty, and another engine
//! version must not make a whole list unreadable.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use skep_core::identity::{ClusterId, SwarmId};
use skep_core::observed::{ApiVersion, NodeCounts};

use crate::engine;
use crate::error::Error;

/// Go writes an empty list or map as `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
pub(crate) struct Version {
    #[serde(rename = "ApiVersion", default)]
    newest: String,
    #[serde(rename = "MinAPIVersion")]
    oldest: Option<String>,
}

impl Version {
    /// The oldest and the newest version that the engine speaks.
    pub(crate) fn range(&self) -> Result<(ApiVersion, ApiVersion), Error> {
        let newest = api_version(&self.newest)?;
        let oldest = match self.oldest.as_deref() {
            None | Some("") => newest,
            Some(oldest) => api_version(oldest)?,
        };
        Ok((oldest, newest))
    }
}

fn api_version(text: &str) -> Result<ApiVersion, Error> {
    text.split_once('.')
        .and_then(|(major, minor)| {
            Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
        })
        .ok_or_else(|| Error::Undecodable {
            object: "the API version".to_owned(),
            why: format!("{text:?} is not a version"),
        })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Info {
    #[serde(deserialize_with = "null_as_default")]
    server_version: String,
    #[serde(deserialize_with = "null_as_default")]
    swarm: Swarm,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Swarm {
    #[serde(deserialize_with = "null_as_default")]
    local_node_state: String,
    control_available: bool,
    #[serde(deserialize_with = "null_as_default")]
    error: String,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(rename = "ID")]
    id: String,
}

impl Info {
    pub(crate) fn into_info(self, api_version: ApiVersion) -> engine::EngineInfo {
        let swarm = self.swarm;
        // `pending` is a node that looks for the others, `locked` and `error` speak for
        // themselves. A restarting manager must not be taken for a machine without a swarm.
        let unsettled = matches!(swarm.local_node_state.as_str(), "pending" | "error" | "locked");
        let trouble = if !swarm.error.is_empty() {
            Some(swarm.error)
        } else if unsettled {
            Some(format!("the node is {}", swarm.local_node_state))
        } else {
            None
        };
        engine::EngineInfo {
            api_version,
            engine_version: self.server_version,
            cluster: swarm
                .cluster
                .filter(|cluster| !cluster.id.is_empty())
                .map(|cluster| ClusterId::new(cluster.id)),
            manager: swarm.control_available,
            trouble,
        }
    }
}

/// A plugin of the new kind, which the engine manages.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Plugin {
    name: String,
    enabled: bool,
    config: PluginConfig,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct PluginConfig {
    interface: PluginInterface,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct PluginInterface {
    /// Such as `docker.networkdriver/1.0`.
    #[serde(deserialize_with = "null_as_default")]
    types: Vec<String>,
}

impl Plugin {
    /// What it can do, in the engine's words, each with its name; nothing while it is turned off.
    pub(crate) fn into_capabilities(self) -> Vec<(String, String)> {
        let Self { name, enabled, config } = self;
        let types = config.interface.types.into_iter().filter(|_| enabled);
        let words = types.filter_map(|kind| {
            let (word, _) = kind.strip_prefix("docker.")?.split_once('/')?;
            Some((word.to_owned(), name.clone()))
        });
        words.collect()
    }
}

#[derive(Deserialize)]
pub(crate) struct Created {
    // A network's is called `Id`.
    #[serde(rename = "ID", alias = "Id")]
    id: String,
    #[serde(rename = "Warnings", alias = "Warning", default)]
    warnings: Option<Warnings>,
}

#[derive(Deserialize)]
pub(crate) struct Updated {
    #[serde(rename = "Warnings", default)]
    warnings: Option<Warnings>,
}

/// Older engines give one text, newer ones a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Warnings {
    Many(Vec<String>),
    One(String),
}

impl Warnings {
    fn list(warnings: Option<Self>) -> Vec<String> {
        match warnings {
            None => Vec::new(),
            Some(Self::Many(list)) => list,
            Some(Self::One(text)) if text.is_empty() => Vec::new(),
            Some(Self::One(text)) => vec![text],
        }
    }
}

impl From<Created> for engine::Created {
    fn from(reply: Created) -> Self {
        Self { id: SwarmId::new(reply.id), warnings: Warnings::list(reply.warnings) }
    }
}

impl From<Updated> for engine::Updated {
    fn from(reply: Updated) -> Self {
        Self { warnings: Warnings::list(reply.warnings) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID", default)]
    service: String,
    #[serde(default)]
    slot: u64,
    #[serde(rename = "NodeID", default)]
    node: String,
    created_at: Timestamp,
    #[serde(default)]
    desired_state: String,
    #[serde(default)]
    status: TaskStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct TaskStatus {
    timestamp: Timestamp,
    state: String,
    message: String,
    err: String,
}

impl From<Task> for engine::Task {
    fn from(task: Task) -> Self {
        Self {
            id: SwarmId::new(task.id),
            service: SwarmId::new(task.service),
            slot: task.slot,
            node: task.node,
            created_at: task.created_at,
            state: task.status.state,
            desired_state: task.desired_state,
            since: task.status.timestamp,
            message: task.status.message,
            error: Some(task.status.err).filter(|error| !error.is_empty()),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Node {
    status: NodeStatus,
    spec: NodeSpec,
    manager_status: Option<ManagerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ManagerStatus {
    leader: bool,
    reachability: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NodeStatus {
    state: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NodeSpec {
    availability: String,
}

pub(crate) fn count(nodes: &[Node]) -> engine::Nodes {
    let count = |matches: &dyn Fn(&Node) -> bool| {
        u32::try_from(nodes.iter().filter(|node| matches(node)).count()).unwrap_or(u32::MAX)
    };
    let manager = |node: &Node, matches: &dyn Fn(&ManagerStatus) -> bool| {
        node.manager_status.as_ref().is_some_and(matches)
    };
    engine::Nodes {
        counts: NodeCounts {
            ready: count(&|node| {
                node.status.state == "ready" && node.spec.availability == "active"
            }),
            total: count(&|_| true),
        },
        managers: count(&|node| manager(node, &|_| true)),
        reachable_managers: count(&|node| {
            manager(node, &|status| status.reachability == "reachable")
        }),
        leader: nodes.iter().any(|node| manager(node, &|status| status.leader)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(swarm: &serde_json::Value) -> engine::EngineInfo {
        let info: Info =
            serde_json::from_value(json!({ "ServerVersion": "20.10.24", "Swarm": swarm })).unwrap();
        info.into_info(ApiVersion { major: 1, minor: 41 })
    }

    #[test]
    fn a_plugin_says_what_it_can_do_while_it_is_turned_on() {
        let plugin = |enabled: bool| -> Vec<(String, String)> {
            let listed = json!({
                "Name": "example/net:latest",
                "Enabled": enabled,
                "Config": {"Interface": {"Socket": "a.sock", "Types": ["docker.ipamdriver/1.0", "odd"]}},
            });
            serde_json::from_value::<Plugin>(listed).unwrap().into_capabilities()
        };
        assert_eq!(plugin(true), [("ipamdriver".to_owned(), "example/net:latest".to_owned())]);
        assert_eq!(plugin(false), []);
        let bare: Plugin =
            serde_json::from_value(json!({"Config": {"Interface": {"Types": null}}})).unwrap();
        assert_eq!(bare.into_capabilities(), []);
    }

    #[test]
    fn only_a_manager_with_a_working_leader_is_trusted() {
        let good = json!({ "LocalNodeState": "active", "ControlAvailable": true, "Error": "",
            "Cluster": { "ID": "c1" } });
        assert_eq!(info(&good).trusted_cluster().unwrap().as_str(), "c1");

        let mut leaderless = good.clone();
        leaderless["Error"] = json!("rpc error: The swarm does not have a leader.");
        assert_eq!(info(&leaderless).trusted_cluster().unwrap_err().kind(), "no_quorum");

        let starting = json!({ "LocalNodeState": "pending", "ControlAvailable": false });
        assert_eq!(info(&starting).trusted_cluster().unwrap_err().kind(), "no_quorum");

        let worker = json!({ "LocalNodeState": "active", "ControlAvailable": false });
        assert_eq!(info(&worker).trusted_cluster().unwrap_err().kind(), "not_manager");

        for none in [json!({ "LocalNodeState": "inactive" }), json!({}), json!(null)] {
            assert_eq!(info(&none).trusted_cluster().unwrap_err().kind(), "not_manager");
        }
    }

    /// As engine 20.10.24 shows them two seconds after two of three managers were killed.
    #[test]
    fn a_leader_without_the_others_has_no_quorum() {
        let manager = |reachability: &str, leader: bool| {
            json!({ "Status": { "State": "ready" }, "Spec": { "Availability": "active" },
                "ManagerStatus": { "Leader": leader, "Reachability": reachability } })
        };
        let worker = json!({ "Status": { "State": "down" }, "Spec": { "Availability": "active" } });
        let nodes =
            |list: serde_json::Value| count(&serde_json::from_value::<Vec<Node>>(list).unwrap());
        let lost = nodes(json!([
            manager("unreachable", false),
            manager("reachable", true),
            manager("unreachable", false),
            worker
        ]));
        assert_eq!((lost.counts.ready, lost.counts.total), (3, 4));
        assert_eq!(lost.quorum().unwrap_err().kind(), "no_quorum");
        let kept = json!([
            manager("unreachable", false),
            manager("reachable", true),
            manager("reachable", false)
        ]);
        assert!(nodes(kept).quorum().is_ok());
        assert!(nodes(json!([manager("reachable", true)])).quorum().is_ok());
        assert!(nodes(json!([manager("reachable", false)])).quorum().is_err(), "nobody leads");
    }

    #[test]
    fn warnings_come_as_a_text_a_list_or_not_at_all() {
        for (reply, count) in [
            (json!({ "ID": "a" }), 0),
            (json!({ "ID": "a", "Warning": "" }), 0),
            (json!({ "ID": "a", "Warning": "w" }), 1),
            (json!({ "ID": "a", "Warnings": null }), 0),
            (json!({ "ID": "a", "Warnings": ["w", "x"] }), 2),
        ] {
            let created: Created = serde_json::from_value(reply.clone()).unwrap();
            assert_eq!(engine::Created::from(created).warnings.len(), count, "{reply}");
        }
    }

    #[test]
    fn a_task_without_a_status_can_be_read() {
        let task: Task = serde_json::from_value(json!({ "ID": "t", "ServiceID": "s",
            "CreatedAt": "2026-11-20T22:00:17.123456789Z", "Spec": { "whatever": [1] } }))
        .unwrap();
        assert_eq!(engine::Task::from(task).state, "");
    }
}
