//! Webhooks of forges: whose are believed, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::digester::{Digester, Purpose};
use skep_core::ports::SecretSource;
use skep_core::push::{Matter, Provider, PullRequest, Push, PushedReference};
use skep_http::{
    Announcements, Identity, NotTaken, Outcome, SHORTEST_SECRET, Taken, Webhooks, is_strong,
};
use skep_runtime::{Metrics, SystemClock, Wake};
use skep_store::{Announced, NewAnnouncement, Store};

use super::notify::Reference;
use crate::codes;
use crate::config::secret::Secret;
use crate::config::{Config, table};
use crate::error::{Failure, Result};

/// What each forge proves with that a delivery is from it.
pub(super) type Secrets = BTreeMap<Provider, Vec<Arc<dyn SecretSource>>>;

/// The secrets that the settings name.
///
/// # Errors
/// When a secret is written in place, cannot be read, or is too short to be one.
pub(super) fn secrets(config: &Config) -> Result<Secrets> {
    let mut all = Secrets::new();
    for provider in Provider::ALL {
        let setting = setting(provider);
        let secrets = config.words(setting).iter().map(|word| secret(setting, word));
        all.insert(provider, secrets.collect::<Result<_>>()?);
    }
    Ok(all)
}

/// Webhooks that are kept in the store, and wake the loop if it runs here.
pub(super) fn of(secrets: Secrets, inbox: Inbox) -> Webhooks {
    let webhooks = Webhooks::new(Arc::new(inbox), Arc::new(SystemClock));
    secrets.into_iter().fold(webhooks, |webhooks, (provider, secrets)| {
        if secrets.is_empty() { webhooks } else { webhooks.with(provider, secrets) }
    })
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

/// Keeps what forges announce until the leader, here or elsewhere, has acted on it. What was
/// announced is not believed: the sources are read again.
pub(super) struct Inbox {
    pub(super) store: Arc<dyn Store>,
    pub(super) digester: Digester,
    pub(super) wake: Wake,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl Announcements for Inbox {
    async fn take(
        &self,
        identity: Identity,
        matter: Matter,
    ) -> std::result::Result<Taken, NotTaken> {
        let keyed =
            |digest: [u8; 32]| self.digester.digest_bytes(Purpose::Content, &digest).to_string();
        match &matter {
            Matter::Push(push) => tell_push(push),
            Matter::Proposal(proposal) => tell_proposal(proposal),
            Matter::Sync { .. } => {}
        }
        let (id, also) = (keyed(identity.content), identity.name.map(keyed));
        let new = NewAnnouncement { id, also, matter };
        match self.store.announce(&new, Timestamp::now()).await {
            Ok(Announced::New) => {
                // Another process notices by itself.
                self.wake.wake();
                Ok(Taken::New)
            }
            Ok(Announced::Known) => Ok(Taken::Known),
            Ok(Announced::Full) => {
                Err(NotTaken("too many wait already: does any process lead?".to_owned()))
            }
            Err(error) => Err(NotTaken(error.to_string())),
        }
    }

    fn count(&self, provider: Provider, outcome: Outcome) {
        self.metrics.count_webhook(provider, outcome.as_str());
    }
}

fn tell_push(push: &Push) {
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
}

fn tell_proposal(request: &PullRequest) {
    tracing::info!(
        webhook.forge = request.provider.as_str(),
        pull_request.repository = request.repository.urls.first(),
        pull_request.number = request.number,
        pull_request.head = request.head,
        pull_request.author = request.author,
        "webhook.pull_request"
    );
}
