//! Telling operators: messages of the outbox are posted to webhooks, signed as the Standard
//! Webhooks specification says.
//!
//! # Guarantees
//! - At least once, under the same id at every attempt; a receiver that keeps the ids it has seen
//!   gets each once.
//! - One endpoint that hangs or fails holds up nothing but itself.
//! - Redirects are not followed, so a body goes only where somebody configured it to go.
//! - Neither a secret nor the path of a URL (which often is one) is logged, stored or shown.

mod client;
mod endpoint;
mod notifier;
mod signature;

pub use self::client::{Client, SendError, Timeouts};
pub use self::endpoint::{Endpoint, InvalidEndpoint};
pub use self::notifier::{Notifier, Pace};
pub use self::signature::{InvalidKey, SigningKey};
