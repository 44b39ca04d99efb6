//! How a connector is asked whether it speaks MCP.

use serde::Serialize;

use super::health::HttpPath;
use crate::format::{Flag, mapping};

/// How a connector is asked whether it speaks MCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mcp {
    /// The HTTP path of its MCP endpoint.
    pub path: String,
    /// Whether it is asked at all.
    pub initialize: bool,
}

impl Default for Mcp {
    fn default() -> Self {
        Self { path: "/mcp".to_owned(), initialize: true }
    }
}

mapping! {
    /// How a connector is asked whether it speaks MCP; only where a port is published for it and
    /// its transport is streamable-http.
    pub(crate) struct McpDocument {
        /// The HTTP path of its MCP endpoint; /mcp when left out.
        path: Option<HttpPath>,
        /// false: it is not asked; true when left out.
        initialize: Option<Flag>,
    }
}

impl From<McpDocument> for Mcp {
    fn from(read: McpDocument) -> Self {
        let standard = Self::default();
        Self {
            path: read.path.unwrap_or(standard.path),
            initialize: read.initialize.unwrap_or(standard.initialize),
        }
    }
}
