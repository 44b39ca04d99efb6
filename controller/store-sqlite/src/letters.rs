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
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, attempts, audit, batches, holds, query, requests, transition};

const WHAT: &str = "dead letter";

async fn load(tx: &mut Tx, id: &LetterId, operation: &'static str) -> Result<Option<DeadLetter>> {
    sqlx::query_as!(
        LetterRow,
        "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, reason, \
         detail, attempts, payload, first_seen, last_seen, state, handled_at, handled_by, \
         handled_why FROM dead_letters WHERE id = ?",
        id.as_str()
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .map(LetterRow::read)
    .transpose()
}

async fn insert(tx: &mut Tx, letter: &DeadLetter, operation: &'static str) -> Result<()> {
    let key = letter.key.as_ref();
    sqlx::query!(
        "INSERT INTO dead_letters (id, kind, source, event, host, tenant, cluster, object_kind, \
         object_name, reason, detail, attempts, payload, first_seen, last_seen, state) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')",
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
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Leaves the letter of an action that fails in this transaction.
pub(crate) async fn leave(
    tx: &mut Tx,
    head: &Head,
    failed: &Failed,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let earlier = attempts::load(tx, &head.id, operation).await?;
    let first_seen = earlier.map(|earlier| earlier.first_at);
    let letter = letters::letter_of(head, failed, detail, first_seen, now)?;
    insert(tx, &letter, operation).await
}

/// Marks an open letter as handled and writes the trail's row about it.
async fn handle(
    tx: &mut Tx,
    letter: &DeadLetter,
    state: LetterState,
    by: &Operator,
    why: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let event = letters::letter_handled(letter, state, by, why, now);
    sqlx::query!(
        "UPDATE dead_letters SET state = ?, handled_at = ?, handled_by = ?, handled_why = ? \
         WHERE id = ?",
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
    tx: &mut Tx,
    rejection: &Rejection,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE dead_letters SET attempts = attempts + 1, reason = ?, detail = ?, host = ?, \
         last_seen = ?, state = 'open', handled_at = NULL, handled_by = NULL, handled_why = NULL \
         WHERE id = ?",
        rejection.reason.as_str(),
        rejection.detail,
        rejection.host,
        to_column(now),
        rejection.id.as_str()
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn fail_action(
        &self,
        fence: &Fence,
        closing: &Closing,
        failed: &Failed,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "end a rollout as failed";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let head = transition::load(&mut tx, &closing.action, OPERATION).await?;
        head.may_fail(closing)?;
        transition::apply(&mut tx, &head, &Change::closing(closing), now, OPERATION).await?;
        leave(&mut tx, &head, failed, &closing.detail, now, OPERATION).await?;
        batches::follow(&mut tx, &head, closing.event, &closing.detail, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn reject_event(&self, rejection: &Rejection, now: Timestamp) -> Result<DeadLetter> {
        const OPERATION: &str = "keep a rejected event";
        let mut tx = self.write(OPERATION).await?;
        let there = load(&mut tx, &rejection.id, OPERATION).await?;
        letters::check_rejection(rejection, there.as_ref())?;
        match there {
            None => insert(&mut tx, &letters::letter_of_event(rejection, now), OPERATION).await?,
            Some(_) => again(&mut tx, rejection, now, OPERATION).await?,
        }
        audit::append(&mut tx, &letters::event_rejected(rejection, now)).await?;
        let letter = load(&mut tx, &rejection.id, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
        letter.ok_or_else(|| no_letter(&rejection.id))
    }

    async fn letters(&self, filter: &LetterFilter) -> Result<Vec<DeadLetter>> {
        const OPERATION: &str = "list dead letters";
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, \
             reason, detail, attempts, payload, first_seen, last_seen, state, handled_at, \
             handled_by, handled_why FROM dead_letters WHERE attempts >= ",
        );
        query.push_bind(i64::from(filter.min_attempts));
        if let Some(kind) = filter.kind {
            query.push(" AND kind = ").push_bind(kind.as_str());
        }
        query::push_words(&mut query, "state", filter.states.iter().map(|state| state.as_str()));
        query::push_words(&mut query, "reason", filter.reasons.iter().map(|word| word.as_str()));
        query::push_words(&mut query, "object_name", filter.names.iter().map(String::as_str));
        if let Some(since) = filter.since {
            query.push(" AND last_seen >= ").push_bind(to_column(since));
        }
        query.push(" ORDER BY last_seen DESC, seq DESC LIMIT ");
        query.push_bind(query::limit(filter.limit));
        let rows: Vec<LetterRow> =
            query.build_query_as().fetch_all(&self.readers).await.during(OPERATION)?;
        rows.into_iter().map(LetterRow::read).collect()
    }

    async fn letter(&self, id_or_prefix: &str) -> Result<DeadLetter> {
        const OPERATION: &str = "read a dead letter";
        if id_or_prefix.is_empty() {
            return Err(Error::NotFound { what: WHAT, id: String::new() });
        }
        let ids = sqlx::query_scalar!(
            "SELECT id FROM dead_letters WHERE id >= ?1 AND id < ?2 ORDER BY id",
            id_or_prefix,
            prefix_end(id_or_prefix)
        )
        .fetch_all(&self.readers)
        .await
        .during(OPERATION)?;
        let id = whole_or_only(&ids, id_or_prefix, WHAT)?;
        sqlx::query_as!(
            LetterRow,
            "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, reason, \
         detail, attempts, payload, first_seen, last_seen, state, handled_at, handled_by, \
         handled_why FROM dead_letters WHERE id = ?",
            id
        )
        .fetch_one(&self.readers)
        .await
        .during(OPERATION)?
        .read()
    }

    async fn open_letters(&self) -> Result<OpenLetters> {
        const OPERATION: &str = "count dead letters";
        let rows = sqlx::query!(
            r#"SELECT kind, count(*) AS "open!: i64" FROM dead_letters WHERE state = 'open' GROUP BY kind"#
        )
        .fetch_all(&self.readers)
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
                requests::file(&mut tx, request, now, OPERATION).await?;
            }
            RequeueWith::Nothing => {}
        }
        let state = LetterState::Requeued;
        handle(&mut tx, &letter, state, &requeue.by, &requeue.why, now, OPERATION).await?;
        let letter = load(&mut tx, &requeue.letter, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
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
        tx.commit().await.during(OPERATION)?;
        letter.map(LetterAnswer::Changed).ok_or_else(|| no_letter(&wish.letter))
    }
}
