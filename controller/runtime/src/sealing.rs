//! Bodies of requests are sealed before the store gets them: they hold the values behind
//! references, and an intent that is open for a moment leaves traces in the database's files.

use serde_json::json;
use skep_core::seal::{SealError, Sealed};
use skep_store::Intent;

use crate::controller::Context;

/// The intent as the store keeps it.
///
/// # Errors
/// As [`skep_core::seal::Sealer::seal`].
pub(crate) fn closed(context: &Context, intent: &Intent) -> Result<Intent, SealError> {
    let bound = bound_to(intent);
    let sealed = context.sealer.seal(context.random.as_ref(), &bound, &intent.body)?;
    Ok(Intent { body: sealed.as_bytes().to_vec(), ..intent.clone() })
}

/// The intent as it is sent.
///
/// # Errors
/// [`SealError`] when it was sealed with another key.
pub(crate) fn opened(context: &Context, mut intent: Intent) -> Result<Intent, SealError> {
    // The first schema kept bodies in the clear; an intent that was open during the upgrade is
    // settled like any other.
    if intent.body.first() != Some(&b'{') {
        let bound = bound_to(&intent);
        intent.body = context.sealer.open(&bound, &Sealed::from_stored(intent.body))?;
    }
    Ok(intent)
}

/// Opens only as the body of this very intent.
fn bound_to(intent: &Intent) -> Vec<u8> {
    json!(["intent body", intent.id, intent.action, intent.key]).to_string().into_bytes()
}
