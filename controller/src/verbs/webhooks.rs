//! Webhooks of forges: whose are believed, and what becomes of them.

use std::sync::Arc;

use skep_core::ports::SecretSource;
use skep_core::push::{Announcements, Provider, PullRequest, Push, PushedReference};
use skep_http::{SHORTEST_SECRET, Webhooks, is_strong};
use skep_runtime::{SystemClock, Wake};

use super::notify::Reference;
use crate::codes;
use crate::config::secret::Secret;
use crate::config::{Config, table};
use crate::error::{Failure, Result};

/// The webhooks that the settings allow.
///
/// # Errors
/// When a secret is written in place, cannot be read, or is too short to be one.
pub(super) fn of(config: &Config, wake: Wake) -> Result<Webhooks> {
    let mut webhooks = Webhooks::new(Arc::new(Waking(wake)), Arc::new(SystemClock));
    for provider in Provider::ALL {
        let setting = setting(provider);
        let secrets = config.words(setting).iter().map(|word| secret(setting, word));
        let secrets = secrets.collect::<Result<Vec<_>>>()?;
        if !secrets.is_empty() {
            webhooks = webhooks.with(provider, secrets);
        }
    }
    Ok(webhooks)
}

fn setting(provider: Provider) -> &'static str {
    match provider {
        Provider::Forgejo => table::WEBHOOK_FORGEJO,
        Provider::Gitea => table::WEBHOOK_GITEA,
        Provider::GitHub => table::WEBHOOK_GITHUB,
        Provider::GitLab => table::WEBHOOK_GITLAB,
    }
}

/// A secret by its reference. It is looked at once now: a process that starts and then refuses
/// every delivery would be found out late.
fn secret(setting: &str, word: &str) -> Result<Arc<dyn SecretSource>> {
    let reference = Secret::parse(word);
    if matches!(reference, Secret::Literal(_)) {
        let message = format!("{setting}: its secret is written in place");
        return Err(Failure::new(codes::CONFIG_INVALID, message)
            .next("write env:NAME or file:/abs/path, so that the setting can be shown"));
    }
    let source = Reference(reference);
    let value = source.reveal().map_err(|reason| {
        Failure::new(codes::SECRET_UNRESOLVED, format!("{setting}: {reason}"))
            .next("set the variable, or write the file, that it names")
    })?;
    if !is_strong(&value) {
        let message = format!("{setting}: its secret has fewer than {SHORTEST_SECRET} characters");
        return Err(Failure::new(codes::CONFIG_INVALID, message)
            .next("make one, here and in the forge: openssl rand -hex 32"));
    }
    Ok(Arc::new(source))
}

/// Wakes the loop. What was announced is not believed: the sources are read again.
struct Waking(Wake);

impl Announcements for Waking {
    fn pushed(&self, push: Push) {
        let (kind, name) = match &push.reference {
            PushedReference::Branch(name) => ("branch", name),
            PushedReference::Tag(name) => ("tag", name),
            PushedReference::Other(name) => ("reference", name),
        };
        tracing::info!(
            webhook.forge = push.provider.as_str(),
            push.repository = push.repository.urls.first(),
            push.kind = kind,
            push.name = name,
            push.after = push.after,
            push.pusher = push.pusher,
            "webhook.push"
        );
        self.0.wake();
    }

    fn proposed(&self, request: PullRequest) {
        tracing::info!(
            webhook.forge = request.provider.as_str(),
            pull_request.repository = request.repository.urls.first(),
            pull_request.number = request.number,
            pull_request.head = request.head,
            pull_request.author = request.author,
            "webhook.pull_request"
        );
    }
}
