//! Messages to the operators: what became of them, trying them out, sending them again.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::notice::{DeliveryState, Notice, NoticeKind};
use skep_core::ports::{Random as _, SecretSource};
use skep_notify::{Client, Endpoint, Timeouts};
use skep_runtime::SystemRandom;
use skep_store::{Delivery, DeliveryFilter, Store};

use super::Session;
use crate::args::NotifyVerb;
use crate::config::secret::Secret;
use crate::config::{Config, Environment, table};
use crate::error::{Failure, Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Style, since, until};
use crate::{codes, identity};

/// `skep notify`.
pub(super) async fn run(session: &Session, verb: NotifyVerb) -> Result<u8> {
    match verb {
        NotifyVerb::Test => test(session).await,
        NotifyVerb::List { state, endpoint, limit, .. } => {
            let store = session.open_store().await?;
            let state = state.as_deref().and_then(DeliveryState::from_word);
            let filter = DeliveryFilter { state, endpoint, limit, ..DeliveryFilter::default() };
            list(session, &store, &filter).await
        }
        NotifyVerb::Retry { ids, endpoint, .. } => {
            let store = session.open_store().await?;
            retry(session, &store, ids, endpoint).await
        }
    }
}

/// The endpoints that the settings name. Keys are read when they are needed.
///
/// # Errors
/// When one of them cannot be used.
pub(super) fn endpoints(config: &Config) -> Result<Vec<Arc<Endpoint>>> {
    let words = config.words(table::NOTIFY);
    let endpoints = words.iter().enumerate().map(|(index, word)| {
        endpoint(word).map(Arc::new).map_err(|why| {
            let message = format!("{}: endpoint {}: {why}", table::NOTIFY, index + 1);
            Failure::new(codes::CONFIG_INVALID, message)
                .next("write it as: https://host/path env:NAME")
        })
    });
    endpoints.collect()
}

fn endpoint(word: &str) -> std::result::Result<Endpoint, String> {
    let mut parts = word.split_whitespace();
    let url = parts.next().unwrap_or_default();
    let mut secrets = Vec::new();
    for part in parts {
        match Secret::parse(part) {
            Secret::Literal(_) => {
                return Err("its key is written in place; write env:NAME or file:/abs/path, so \
                            that the setting can be shown"
                    .to_owned());
            }
            reference => secrets.push(Arc::new(Reference(reference)) as Arc<dyn SecretSource>),
        }
    }
    Endpoint::new(url, secrets).map_err(|error| error.to_string())
}

/// A reference that is read anew each time: a rotated file counts at once.
pub(super) struct Reference(pub(super) Secret);

impl SecretSource for Reference {
    fn reveal(&self) -> std::result::Result<String, String> {
        self.0.reveal(&Environment::of_process()).map_err(|error| {
            match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            }
        })
    }
}

#[derive(Debug, Serialize)]
struct DeliveryView {
    id: String,
    #[serde(rename = "type")]
    kind: NoticeKind,
    endpoint: String,
    state: DeliveryState,
    attempts: u32,
    /// When it is tried next, while it waits.
    next_at: Option<Timestamp>,
    last_error: Option<String>,
    at: Timestamp,
    updated_at: Timestamp,
    text: String,
}

impl DeliveryView {
    fn new(delivery: Delivery) -> Self {
        let Delivery { notice, endpoint, state, attempts, next_at, last_error, updated_at } =
            delivery;
        let text = notice.body.get("text").and_then(|text| text.as_str()).unwrap_or_default();
        Self {
            text: text.to_owned(),
            id: notice.id.to_string(),
            kind: notice.kind,
            endpoint,
            state,
            attempts,
            next_at: (state == DeliveryState::Waiting).then_some(next_at),
            last_error,
            at: notice.at,
            updated_at,
        }
    }
}

async fn list(session: &Session, store: &Arc<dyn Store>, filter: &DeliveryFilter) -> Result<u8> {
    let deliveries = store.deliveries(filter).await?;
    let items: Vec<_> = deliveries.into_iter().map(DeliveryView::new).collect();
    let now = Timestamp::now();
    session.printer.data(&Items { items }, |list, style: Style| {
        let header = ["MESSAGE", "TYPE", "ENDPOINT", "STATE", "TRIES", "AGE", "NEXT", "ABOUT"];
        let mut columns = Columns::new(header);
        for delivery in &list.items {
            let about = delivery.last_error.as_ref().unwrap_or(&delivery.text);
            columns.row([
                short(&delivery.id).to_owned(),
                delivery.kind.to_string(),
                delivery.endpoint.clone(),
                delivery.state.to_string(),
                delivery.attempts.to_string(),
                since(delivery.at, now),
                delivery.next_at.map_or_else(|| "-".to_owned(), |at| until(at, now)),
                about.clone(),
            ]);
        }
        columns.text(style, "no messages are on their way to anybody")
    })?;
    if session.config.words(table::NOTIFY).is_empty() {
        session.printer.note("nobody is told: no endpoint is named; set FLEET_NOTIFY");
    }
    Ok(exit::OK)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

async fn retry(
    session: &Session,
    store: &Arc<dyn Store>,
    ids: Vec<String>,
    endpoint: Option<String>,
) -> Result<u8> {
    let actor = identity::actor(&session.environment);
    let mut chosen: Vec<Option<String>> = Vec::new();
    for id in ids {
        let id = if id.starts_with("msg_") { id } else { format!("msg_{id}") };
        let filter = DeliveryFilter { notice: Some(id.clone()), ..DeliveryFilter::default() };
        let mut found: Vec<_> =
            store.deliveries(&filter).await?.into_iter().map(|one| one.notice.id).collect();
        found.sort();
        found.dedup();
        match found.as_slice() {
            [] => {
                return Err(Failure::new(codes::NOT_FOUND, format!("there is no message {id}"))
                    .next("skep notify list"));
            }
            [one] => chosen.push(Some(one.to_string())),
            many => {
                let message =
                    format!("{id} is the start of {} message ids; give more of it", many.len());
                return Err(Failure::new(codes::AMBIGUOUS, message).next("skep notify list"));
            }
        }
    }
    if chosen.is_empty() {
        chosen.push(None);
    }
    let mut count = 0;
    for notice in chosen {
        let filter = DeliveryFilter { notice, endpoint: endpoint.clone(), ..Default::default() };
        count += store.retry_deliveries(&filter, &actor, Timestamp::now()).await?;
    }
    #[derive(Serialize)]
    struct Retried {
        retried: u64,
    }
    session.printer.data(&Retried { retried: count }, |retried, _| {
        format!("{} deliveries are due now\n", retried.retried)
    })?;
    if store.lease_holder().await?.is_none() {
        session.printer.note("next: nobody is running to send them: start `skep serve`");
    }
    Ok(exit::OK)
}

#[derive(Debug, Serialize)]
struct Tried {
    endpoint: String,
    delivered: bool,
    error: Option<String>,
}

async fn test(session: &Session) -> Result<u8> {
    let endpoints = endpoints(&session.config)?;
    if endpoints.is_empty() {
        return Err(Failure::new(codes::NOTIFY_UNSET, "no endpoint is named; nobody is told")
            .next("FLEET_NOTIFY='https://host/path env:NAME' skep notify test"));
    }
    let client =
        Client::new(Timeouts::default()).map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    let now = Timestamp::now();
    let actor = identity::actor(&session.environment);
    let notice = Notice::test(&actor, &SystemRandom.hex128(), now);
    let mut items = Vec::new();
    for endpoint in &endpoints {
        let sent = client.send(endpoint, &notice, Timestamp::now()).await;
        let (delivered, error) = (sent.is_ok(), sent.err().map(|error| error.to_string()));
        items.push(Tried { endpoint: endpoint.name().to_owned(), delivered, error });
    }
    let failed = items.iter().filter(|tried| !tried.delivered).count();
    let total = items.len();
    session.printer.data(&Items { items }, |list, style: Style| {
        let mut columns = Columns::new(["ENDPOINT", "DELIVERED", "ERROR"]);
        for tried in &list.items {
            let delivered = if tried.delivered { "yes" } else { "no" };
            let error = tried.error.clone().unwrap_or_default();
            columns.row([tried.endpoint.clone(), delivered.to_owned(), error]);
        }
        columns.text(style, "nobody")
    })?;
    if failed == 0 {
        return Ok(exit::OK);
    }
    let message = format!("{failed} of {total} endpoints did not take the message");
    Err(Failure::new(codes::NOTIFY_FAILED, message).next("see the errors above"))
}
