//! From tags to digests: in parallel, bounded, remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use skep_core::image::ImageReference;
use skep_core::ports::Clock;
use skep_core::resolution::{Resolution, Resolved};
use skep_swarm::{Engine, Error, RegistryAuth};

use crate::cache::{Ages, Cache};
use crate::credentials::Credentials;

/// How much is asked at once, and how long anything may take. One question has the limit of the
/// engine's client, 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Questions at the same time. Registries throttle; eight resolve 68 images in about a second.
    pub parallel: usize,
    /// One round. What is not answered by then is unresolved for this round.
    pub round: Duration,
    /// A digest holds for this long: short enough that a plan made for a push sees it.
    pub success: Duration,
    /// A refusal holds for this long.
    pub failure: Duration,
    /// A registry that cannot be reached is left alone for this long.
    pub rest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 8,
            round: Duration::from_secs(30),
            success: Duration::from_secs(5 * 60),
            failure: Duration::from_secs(30),
            rest: Duration::from_secs(60),
        }
    }
}

/// Whether an answer that is remembered is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// It is.
    Remembered,
    /// Registries are asked, apart from those that rest.
    Anew,
}

/// Resolves tags through the engine.
pub struct Resolver {
    engine: Arc<dyn Engine>,
    credentials: Arc<Credentials>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver that remembers nothing yet.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        credentials: Arc<Credentials>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self { engine, credentials, clock, limits, cache: Mutex::default() }
    }

    /// The current credentials for the registry of the image that a service's spec (as JSON) names.
    pub async fn credentials_for(&self, spec: &[u8]) -> Option<RegistryAuth> {
        let spec: serde_json::Value = serde_json::from_slice(spec).ok()?;
        let image = spec.pointer("/TaskTemplate/ContainerSpec/Image")?.as_str()?;
        self.credentials.of(ImageReference::parse(image).registry()).await
    }

    /// What each tag stands for. Every tag that is asked for is in the answer.
    pub async fn resolve(
        &self,
        tags: &BTreeSet<ImageReference>,
        ask: Ask,
    ) -> BTreeMap<ImageReference, Resolution> {
        let mut answers = BTreeMap::new();
        let mut open = Vec::new();
        for tag in tags {
            let remembered = match ask {
                Ask::Remembered => self.cache().answer(tag, self.clock.now()),
                Ask::Anew => None,
            };
            match remembered {
                Some(answer) => drop(answers.insert(tag.clone(), answer)),
                None => open.push(tag.clone()),
            }
        }
        if open.is_empty() {
            return answers;
        }
        let asked = stream::iter(open.clone())
            .map(|tag| async move {
                let answer = self.one(&tag).await;
                (tag, answer)
            })
            .buffer_unordered(self.limits.parallel)
            .take_until(Box::pin(tokio::time::sleep(self.limits.round)))
            .collect::<Vec<_>>()
            .await;
        answers.extend(asked);
        for tag in open {
            answers.entry(tag).or_insert_with(|| Resolution::Unresolved {
                reason: format!("it was not answered within {:?}", self.limits.round),
            });
        }
        answers
    }

    async fn one(&self, tag: &ImageReference) -> Resolution {
        // Looked at here and not before: one of the questions before this one may have shown it.
        if let Some(resting) = self.cache().resting(tag, self.clock.now()) {
            return resting;
        }
        let registry = tag.registry();
        let auth = self.credentials.of(registry).await;
        let found = self.engine.distribution(&tag.familiar(), auth.as_ref()).await;
        let now = self.clock.now();
        let ages = Ages {
            success: self.limits.success,
            failure: self.limits.failure,
            rest: self.limits.rest,
        };
        let answer = match found {
            Ok(found) => {
                Resolution::Resolved(Resolved::new(tag.clone(), found.digest, found.platforms))
            }
            Err(error) => {
                let reason = reason(registry, &error);
                // The plan carries it as a note; this is for whoever asks when it began.
                tracing::info!(
                    image = %tag,
                    image.registry = registry,
                    error.kind = error.kind(),
                    reason,
                    "image.unresolved"
                );
                if is_absence(&error) {
                    self.cache().rest(registry, &reason, now, ages);
                    return Resolution::Unresolved { reason };
                }
                Resolution::Unresolved { reason }
            }
        };
        self.cache().remember(tag, answer.clone(), now, ages);
        answer
    }

    /// A poisoned lock only means that another thread ended inside; the values are whole.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True when it was not the registry that answered.
fn is_absence(error: &Error) -> bool {
    matches!(
        error,
        Error::RegistryUnreachable { .. }
            | Error::Timeout { .. }
            | Error::Unreachable { .. }
            | Error::ConnectionLost { .. }
    )
}

fn reason(registry: &str, error: &Error) -> String {
    match error {
        Error::RegistryUnauthorized { message } => {
            format!("{registry} refused access: {message}; sign in with: docker login {registry}")
        }
        Error::RegistryUnreachable { message } => {
            format!("{registry} cannot be reached: {message}")
        }
        Error::NotFound { message, .. } => format!("{registry} does not have it: {message}"),
        Error::Timeout { after, .. } => format!("{registry} did not answer within {after:?}"),
        other => other.with_causes(),
    }
}

#[cfg(test)]
mod tests;
