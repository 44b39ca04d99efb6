//! What came in from outside and is not acted on yet: pushes, proposals, wishes to look now.
//! Whoever receives one keeps it here; the leader, which may be another process, answers it.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use skep_core::push::{Answer, Matter};

use crate::{Fence, Result};

/// How long what was answered is remembered, so that a copy of it is not taken again. Longer than
/// any time in a delivery may be off.
pub const ANNOUNCEMENTS_REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// How long what nobody answers is kept.
pub const ANNOUNCEMENTS_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// How many may wait for their answer.
pub const MOST_OPEN_ANNOUNCEMENTS: u32 = 1_000;
/// How many of the newest are kept, answered or not, and never more.
pub const MOST_ANNOUNCEMENTS: u32 = 5_000;

/// An announcement that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAnnouncement {
    /// What tells it from all others: a copy has the same.
    pub id: String,
    /// Another name under which it may come again.
    pub also: Option<String>,
    /// What it is about.
    pub matter: Matter,
}

/// An announcement that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What tells it from all others.
    pub id: String,
    /// What it is about.
    pub matter: Matter,
    /// When it came.
    pub at: Timestamp,
    /// What came of it; none while nobody has looked.
    pub answer: Option<Answer>,
}

/// What became of bringing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// It is kept, and wakes the leader.
    New,
    /// It, or another one of its name, is kept already. Nothing was written.
    Known,
    /// Too many wait for their answer. Nothing was written.
    Full,
}

/// The announcements of one database.
#[async_trait]
pub trait Inbox {
    /// Keeps an announcement, and forgets what is old. No fence. Moves the change counter, so that
    /// the leader looks; appends nothing to the trail, as nothing is decided yet.
    async fn announce(&self, new: &NewAnnouncement, now: Timestamp) -> Result<Announced>;

    /// What waits for its answer, oldest first; zero means no limit. What cannot be read, as
    /// after a downgrade, is left out.
    async fn open_announcements(&self, limit: u32) -> Result<Vec<Announcement>>;

    /// An announcement by its id.
    async fn announcement(&self, id: &str) -> Result<Option<Announcement>>;

    /// Answers an announcement; one that is answered or forgotten already stays as it is. Fenced.
    /// Does not move the change counter: the leader need not look again.
    async fn answer_announcement(
        &self,
        fence: &Fence,
        id: &str,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<()>;
}
