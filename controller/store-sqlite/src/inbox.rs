//! What came in from outside, until the leader has answered it.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::push::Answer;
use skep_store::{
    Announced, Announcement, Fence, Inbox, MOST_ANNOUNCEMENTS, MOST_OPEN_ANNOUNCEMENTS,
    NewAnnouncement, Result,
};
use skep_store_sql::inbox::{AnnouncementRow, kept_since, readable};
use skep_store_sql::instant::to_column;

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, query};

/// Forgets what was answered long ago, what nobody has answered, and the oldest of too many.
async fn forget(tx: &mut Tx, now: Timestamp, operation: &'static str) -> Result<()> {
    let (answered, open) = kept_since(now);
    sqlx::query!(
        "DELETE FROM announcements WHERE answered_at < ? OR at < ? \
         OR seq <= (SELECT max(seq) FROM announcements) - ?",
        answered,
        open,
        i64::from(MOST_ANNOUNCEMENTS)
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn announce(&self, new: &NewAnnouncement, now: Timestamp) -> Result<Announced> {
        const OPERATION: &str = "keep an announcement";
        let mut tx = self.write(OPERATION).await?;
        forget(&mut tx, now, OPERATION).await?;
        let known = sqlx::query_scalar!(
            r#"SELECT count(*) AS "known!: i64" FROM announcements WHERE id = ? OR also = ?"#,
            new.id,
            new.also
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
        if known > 0 {
            return Ok(Announced::Known);
        }
        let open = sqlx::query_scalar!(
            r#"SELECT count(*) AS "open!: i64" FROM announcements WHERE answered_at IS NULL"#
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
        if open >= i64::from(MOST_OPEN_ANNOUNCEMENTS) {
            return Ok(Announced::Full);
        }
        let inserted = sqlx::query!(
            "INSERT INTO announcements (id, also, kind, body, at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
            new.id,
            new.also,
            new.matter.as_str(),
            new.matter.stored(),
            to_column(now)
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await.during(OPERATION)?;
        // Somebody else may have brought a copy meanwhile.
        Ok(if inserted.rows_affected() == 1 { Announced::New } else { Announced::Known })
    }

    async fn open_announcements(&self, limit: u32) -> Result<Vec<Announcement>> {
        const OPERATION: &str = "read the open announcements";
        let rows = sqlx::query_as!(
            AnnouncementRow,
            "SELECT id, body, at, answer FROM announcements WHERE answered_at IS NULL \
             ORDER BY seq LIMIT ?",
            query::limit(limit)
        )
        .fetch_all(&self.readers)
        .await
        .during(OPERATION)?;
        Ok(readable(rows))
    }

    async fn announcement(&self, id: &str) -> Result<Option<Announcement>> {
        const OPERATION: &str = "read an announcement";
        let row = sqlx::query_as!(
            AnnouncementRow,
            "SELECT id, body, at, answer FROM announcements WHERE id = ?",
            id
        )
        .fetch_optional(&self.readers)
        .await
        .during(OPERATION)?;
        row.map(AnnouncementRow::read).transpose()
    }

    async fn answer_announcement(
        &self,
        fence: &Fence,
        id: &str,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "answer an announcement";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        sqlx::query!(
            "UPDATE announcements SET answer = ?, answered_at = ? \
             WHERE id = ? AND answered_at IS NULL",
            answer.stored(),
            to_column(now),
            id
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await.during(OPERATION)
    }
}
