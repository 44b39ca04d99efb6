//! Opening a connection to a host: its name is resolved here, every address is checked here, and
//! the connection goes to exactly the address that was checked. A name that means another machine
//! a moment later has no way past this.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use crate::access::Access;
use crate::address::Kind;
use crate::error::Category;

/// How names become addresses. The system's resolver in production, anything in tests.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of a host.
    ///
    /// # Errors
    /// When the name is not known or nobody can be asked.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = tokio::net::lookup_host((host, 0)).await?;
        Ok(addresses.map(|address| address.ip()).collect())
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The name leads nowhere.
    #[error("the name {host} cannot be resolved ({reason})")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// One of the addresses must not be dialled, so none is.
    #[error("{host} has the address {address}, which is {kind}; nothing was sent there")]
    Forbidden {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is.
        kind: Kind,
    },
    /// Nobody answers.
    #[error("{host} does not answer at {address} ({reason})")]
    Connect {
        /// The name.
        host: String,
        /// The last address that was tried.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// More came than is taken.
    #[error("{host} sent more than {limit} bytes, so the transfer was ended")]
    TooMuch {
        /// The name.
        host: String,
        /// The limit.
        limit: u64,
    },
}

impl DialError {
    /// What would make another attempt succeed.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } => Category::Retry,
            Self::Forbidden { .. } => Category::NeedsPerson,
            Self::TooMuch { .. } => Category::WaitForChange,
        }
    }

    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } => "GIT_UNAVAILABLE",
            Self::Forbidden { .. } => "GIT_REFUSED",
            Self::TooMuch { .. } => "GIT_TOO_LARGE",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Resolve { .. } => {
                "check the name, and that this machine can resolve it".to_owned()
            }
            Self::Connect { .. } => "it is tried again; check that the server is up".to_owned(),
            Self::Forbidden { address, .. } => {
                format!("add {address} or its network to the allowed networks, if it is meant")
            }
            Self::TooMuch { .. } => {
                "keep what is deployed in a repository, or a branch, of its own".to_owned()
            }
        }
    }
}

/// How long one address may take to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How many addresses of one name are tried.
const MOST_ADDRESSES: usize = 4;

/// What opens connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    access: Arc<Access>,
    resolver: Arc<dyn Resolve>,
}

impl Dialer {
    pub(crate) fn new(access: Arc<Access>, resolver: Arc<dyn Resolve>) -> Self {
        Self { access, resolver }
    }

    /// A connection to the host, if all of its addresses are allowed. One that is not says enough
    /// about the answer: none of the others is used then.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let name = || host.to_owned();
        let unresolved = |reason: String| DialError::Resolve { host: name(), reason };
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_name) => {
                let asked = self.resolver.resolve(host);
                match tokio::time::timeout(CONNECT_WITHIN, asked).await {
                    Ok(answer) => answer.map_err(|error| unresolved(error.to_string()))?,
                    Err(_elapsed) => return Err(unresolved("no answer in time".to_owned())),
                }
            }
        };
        for &address in &addresses {
            if let Some(kind) = self.access.refuses(address) {
                return Err(DialError::Forbidden { host: name(), address, kind });
            }
        }
        let mut last = unresolved("it has no address".to_owned());
        for &address in addresses.iter().take(MOST_ADDRESSES) {
            let address = SocketAddr::new(address, port);
            let connecting = TcpStream::connect(address);
            let reason = match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "no answer in time".to_owned(),
            };
            last = DialError::Connect { host: name(), address, reason };
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<IpAddr>);

    #[async_trait]
    impl Resolve for Fixed {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            Ok(self.0.clone())
        }
    }

    fn dialer(networks: &[&str], answer: &[&str]) -> Dialer {
        let access = Access {
            networks: networks.iter().map(|text| text.parse().expect(text)).collect(),
            ..Access::default()
        };
        let answer = answer.iter().map(|text| text.parse().expect(text)).collect();
        Dialer::new(Arc::new(access), Arc::new(Fixed(answer)))
    }

    #[tokio::test]
    async fn one_forbidden_address_spoils_the_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = dialer(&["127.0.0.1/32"], &["127.0.0.1"]);
        open.dial("git.test", port).await.expect("allowed");
        for answer in [&["127.0.0.1", "10.0.0.1"][..], &["127.0.0.2"], &["::1"]] {
            let refused = dialer(&["127.0.0.1/32"], answer).dial("git.test", port).await;
            assert!(matches!(refused, Err(DialError::Forbidden { .. })), "{answer:?}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn an_address_in_the_place_of_a_name_is_checked_too() {
        for host in ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1"] {
            let refused = dialer(&[], &[]).dial(host, 1).await;
            assert!(matches!(refused, Err(DialError::Forbidden { .. })), "{host}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_said_so() {
        let nothing = dialer(&[], &[]).dial("git.test", 1).await.expect_err("nobody");
        assert!(nothing.to_string().contains("it has no address"), "{nothing}");
        assert_eq!(nothing.category(), Category::Retry);
    }
}
