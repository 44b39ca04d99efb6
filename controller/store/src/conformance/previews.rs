//! The newest plan of each proposal is kept, and only so many of them.

use super::Harness;
use super::fixtures::*;
use crate::{KeptPreview, MOST_PREVIEWS};

fn preview(repository: &str, number: u64, content: &[u8], second: i64) -> KeptPreview {
    let (repository, content) = (repository.to_owned(), content.to_vec());
    KeptPreview { repository, number, content, at: at(second) }
}

impl Leader {
    async fn keep(&self, preview: &KeptPreview) {
        self.store.put_preview(&self.fence, preview).await.unwrap();
    }
}

pub(super) async fn a_preview_stands_for_the_newest_of_its_proposal(harness: &dyn Harness) {
    let leader = leader(harness).await;
    assert_eq!(leader.store.previews().await.unwrap(), []);
    leader.keep(&preview("h/r", 7, b"one", 1)).await;
    leader.keep(&preview("h/r", 8, b"\0\xff", 2)).await;
    leader.keep(&preview("h/s", 7, b"other", 3)).await;
    let newer = preview("h/r", 7, b"two", 4);
    leader.keep(&newer).await;
    let kept = leader.store.previews().await.unwrap();
    let expected = [newer, preview("h/s", 7, b"other", 3), preview("h/r", 8, b"\0\xff", 2)];
    assert_eq!(kept, expected);
    assert_eq!(harness.connect().await.previews().await.unwrap(), expected);
    assert!(!format!("{kept:?}").contains("other"));
}

pub(super) async fn the_oldest_previews_go(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let most = i64::from(MOST_PREVIEWS);
    for number in 1..=most + 2 {
        leader.keep(&preview("h/r", number.unsigned_abs(), b"x", number)).await;
    }
    let kept = leader.store.previews().await.unwrap();
    assert_eq!(kept.len(), usize::try_from(MOST_PREVIEWS).unwrap());
    assert_eq!(kept.last().unwrap().number, 3);
}

pub(super) async fn an_old_leader_keeps_no_preview(harness: &dyn Harness) {
    let leader = leader(harness).await;
    harness.advance(TTL * 2);
    take_lease(&leader.store, "next").await;
    let kept = leader.store.put_preview(&leader.fence, &preview("h/r", 7, b"x", 1)).await;
    assert!(is_fenced(&kept), "{kept:?}");
    assert_eq!(leader.store.previews().await.unwrap(), []);
}
