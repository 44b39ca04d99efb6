//! Dead letters: left with the failure of an action, handled by people.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::LetterId;
use skep_core::letter::{DeadLetter, LetterKind, LetterState};
use skep_store::{
    Closing, DeadLetters, DropLetter, Error, Failed, Fence, LetterAnswer, LetterFilter,
    OpenLetters, Operator, Rejection, Requeue, RequeueWith, Result,
};
use skep_store_sql::instant::to_column;
use skep_store_sql::letters::{self, LetterRow, no_letter};
use skep_store_sql::{Change, Head, prefix_end, whole_or_only, word};
use sqlx::{Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{PostgresStore, attempts, audit, batches, holds, query, requests, transition};

const WHAT: &str = "dead letter";

/// Reads a letter and locks it until the transaction ends.
async fn load(
    tx: &mut Session<'_>,
    id: &LetterId,
    operation: &'static str,
) -> Result<Option<DeadLetter>> {
    sqlx::query_as!(
        LetterRow,
        "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, reason, \
         detail, attempts, payload, first_seen, last_seen, state, handled_at, handled_by, \
         handled_why FROM dead_letters WHERE id = $1 FOR UPDATE",
        id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .map(LetterRow::read)
    .transpose()
}

/// `false` when there is one under this id already.
async fn insert(
    tx: &mut Session<'_>,
    letter: &DeadLetter,
    operation: &'static str,
) -> Result<bool> {
    let key = letter.key.as_ref();
    let inserted = sqlx::query!(
        "INSERT INTO dead_letters (id, kind, source, event, host, tenant, cluster, object_kind, \
         object_name, reason, detail, attempts, payload, first_seen, last_seen, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'open') \
         ON CONFLICT (id) DO NOTHING",
        letter.id.as_str(),
        letter.kind.as_str(),
        letter.source,
        letter.event,
        letter.host,
        key.map(|key| key.tenant.as_str()),
        key.map(|key| key.cluster.as_str()),
        key.map(|key| key.kind.as_str()),
        key.map(|key| key.name.as_str()),
        letter.reason.as_str(),
        letter.detail,
        i64::from(letter.attempts),
        letter.payload,
        to_column(letter.first_seen),
        to_column(letter.last_seen)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(inserted.rows_affected() == 1)
}

/// Leaves the letter of an action that fails in this transaction.
pub(crate) async fn leave(
    tx: &mut Session<'_>,
    head: &Head,
    failed: &Failed,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let earlier = attempts::load(tx, &head.id, operation).await?;
    let first_seen = earlier.map(|earlier| earlier.first_at);
    let letter = letters::letter_of(head, failed, detail, first_seen, now)?;
    if insert(tx, &letter, operation).await? {
        return Ok(());
    }
    // Cannot happen: an action fails once, and events have ids of their own.
    Err(Error::Conflict { what: WHAT, id: letter.id.to_string(), current: "there".to_owned() })
}

/// Marks an open letter as handled and writes the trail's row about it.
async fn handle(
    tx: &mut Write,
    letter: &DeadLetter,
    state: LetterState,
    by: &Operator,
    why: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let event = letters::letter_handled(letter, state, by, why, now);
    sqlx::query!(
        "UPDATE dead_letters SET state = $1, handled_at = $2, handled_by = $3, handled_why = $4 \
         WHERE id = $5",
        state.as_str(),
        to_column(now),
        by.actor,
        why,
        letter.id.as_str()
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    audit::append(tx, &event).await
}

/// The same event could not be taken in once more.
async fn again(
    tx: &mut Session<'_>,
    rejection: &Rejection,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE dead_letters SET attempts = attempts + 1, reason = $1, detail = $2, host = $3, \
         last_seen = $4, state = 'open', handled_at = NULL, handled_by = NULL, \
         handled_why = NULL WHERE id = $5",
        rejection.reason.as_str(),
        rejection.detail,
        rejection.host,
        to_column(now),
        rejection.id.as_str()
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl DeadLetters for PostgresStore {
    async fn fail_action(
        &self,
        fence: &Fence,
        closing: &Closing,
        failed: &Failed,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "end a rollout as failed";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        batches::lock(&mut tx, &closing.action, closing.event, OPERATION).await?;
        let head = transition::load(&mut tx, &closing.action, OPERATION).await?;
        head.may_fail(closing)?;
        transition::apply(&mut tx, &head, &Change::closing(closing), now, OPERATION).await?;
        leave(&mut tx, &head, failed, &closing.detail, now, OPERATION).await?;
        batches::follow(&mut tx, &head, closing.event, &closing.detail, now, OPERATION).await?;
        tx.commit().await
    }

    async fn reject_event(&self, rejection: &Rejection, now: Timestamp) -> Result<DeadLetter> {
        const OPERATION: &str = "keep a rejected event";
        letters::check_rejection(rejection, None)?;
        let mut tx = self.write(OPERATION).await?;
        if !insert(&mut tx, &letters::letter_of_event(rejection, now), OPERATION).await? {
            let there = load(&mut tx, &rejection.id, OPERATION).await?;
            letters::check_rejection(rejection, there.as_ref())?;
            again(&mut tx, rejection, now, OPERATION).await?;
        }
        audit::append(&mut tx, &letters::event_rejected(rejection, now)).await?;
        let letter = load(&mut tx, &rejection.id, OPERATION).await?;
        tx.commit().await?;
        letter.ok_or_else(|| no_letter(&rejection.id))
    }

    async fn letters(&self, filter: &LetterFilter) -> Result<Vec<DeadLetter>> {
        const OPERATION: &str = "list dead letters";
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, \
             reason, detail, attempts, payload, first_seen, last_seen, state, handled_at, \
             handled_by, handled_why FROM dead_letters WHERE attempts >= ",
        );
        query.push_bind(i64::from(filter.min_attempts));
        if let Some(kind) = filter.kind {
            query.push(" AND kind = ").push_bind(kind.as_str());
        }
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        let reasons: Vec<&str> = filter.reasons.iter().map(|reason| reason.as_str()).collect();
        let names: Vec<&str> = filter.names.iter().map(String::as_str).collect();
        for (column, words) in [("state", states), ("reason", reasons), ("object_name", names)] {
            if !words.is_empty() {
                query.push(" AND ").push(column).push(" = ANY(");
                let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
                query.push_bind(words).push(")");
            }
        }
        if let Some(since) = filter.since {
            query.push(" AND last_seen >= ").push_bind(to_column(since));
        }
        query.push(" ORDER BY last_seen DESC, seq DESC LIMIT ");
        query.push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<LetterRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
        rows.into_iter().map(LetterRow::read).collect()
    }

    async fn letter(&self, id_or_prefix: &str) -> Result<DeadLetter> {
        const OPERATION: &str = "read a dead letter";
        if id_or_prefix.is_empty() {
            return Err(Error::NotFound { what: WHAT, id: String::new() });
        }
        let mut tx = self.read(OPERATION).await?;
        let ids = sqlx::query_scalar!(
            "SELECT id FROM dead_letters WHERE id >= $1 AND id < $2 ORDER BY id",
            id_or_prefix,
            prefix_end(id_or_prefix)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let id = whole_or_only(&ids, id_or_prefix, WHAT)?;
        sqlx::query_as!(
            LetterRow,
            "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, \
             reason, detail, attempts, payload, first_seen, last_seen, state, handled_at, \
             handled_by, handled_why FROM dead_letters WHERE id = $1",
            id
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?
        .read()
    }

    async fn open_letters(&self) -> Result<OpenLetters> {
        const OPERATION: &str = "count dead letters";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query!(
            r#"SELECT kind, count(*) AS "open!" FROM dead_letters WHERE state = 'open' GROUP BY kind"#
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let mut counts = OpenLetters::default();
        for row in rows {
            let open = u64::try_from(row.open).unwrap_or_default();
            match word(&row.kind, LetterKind::from_word, WHAT)? {
                LetterKind::Ingress => counts.ingress = open,
                LetterKind::Dispatch => counts.dispatch = open,
            }
        }
        Ok(counts)
    }

    async fn requeue_letter(&self, requeue: &Requeue, now: Timestamp) -> Result<LetterAnswer> {
        const OPERATION: &str = "have a dead letter proposed again";
        let mut tx = self.write(OPERATION).await?;
        let letter = load(&mut tx, &requeue.letter, OPERATION).await?;
        let letter = letter.ok_or_else(|| no_letter(&requeue.letter))?;
        if letter.state != LetterState::Open {
            return Ok(LetterAnswer::Already(letter));
        }
        letters::check_requeue(requeue, &letter)?;
        match &requeue.with {
            RequeueWith::Retry(hold) => holds::place(&mut tx, hold, OPERATION).await?,
            RequeueWith::Request(request) => {
                requests::file_one(&mut tx, request, now, OPERATION).await?;
            }
            RequeueWith::Nothing => {}
        }
        let state = LetterState::Requeued;
        handle(&mut tx, &letter, state, &requeue.by, &requeue.why, now, OPERATION).await?;
        let letter = load(&mut tx, &requeue.letter, OPERATION).await?;
        tx.commit().await?;
        letter.map(LetterAnswer::Changed).ok_or_else(|| no_letter(&requeue.letter))
    }

    async fn drop_letter(&self, wish: &DropLetter, now: Timestamp) -> Result<LetterAnswer> {
        const OPERATION: &str = "put a dead letter away";
        letters::check_drop(wish)?;
        let mut tx = self.write(OPERATION).await?;
        let letter = load(&mut tx, &wish.letter, OPERATION).await?;
        let letter = letter.ok_or_else(|| no_letter(&wish.letter))?;
        if letter.state != LetterState::Open {
            return Ok(LetterAnswer::Already(letter));
        }
        handle(&mut tx, &letter, LetterState::Dropped, &wish.by, &wish.why, now, OPERATION).await?;
        let letter = load(&mut tx, &wish.letter, OPERATION).await?;
        tx.commit().await?;
        letter.map(LetterAnswer::Changed).ok_or_else(|| no_letter(&wish.letter))
    }
}
