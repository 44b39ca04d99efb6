//! What comes in is kept once, survives who received it, and is answered by the leader.

use futures::future::join_all;
use skep_core::push::{Answer, Matter};

use super::Harness;
use super::fixtures::*;
use crate::{
    ANNOUNCEMENTS_REMEMBERED, ANNOUNCEMENTS_WAIT, Announced, Announcement, MOST_OPEN_ANNOUNCEMENTS,
    NewAnnouncement, Store,
};

fn matter(stack: &str) -> Matter {
    Matter::Sync { stacks: vec![stack.to_owned()], actor: "ann@desk".to_owned() }
}

fn new(id: &str, also: Option<&str>) -> NewAnnouncement {
    NewAnnouncement { id: id.to_owned(), also: also.map(str::to_owned), matter: matter(id) }
}

fn answer(note: &str) -> Answer {
    Answer { note: Some(note.to_owned()), ..Answer::default() }
}

async fn announce(store: &dyn Store, id: &str, also: Option<&str>, second: i64) -> Announced {
    store.announce(&new(id, also), at(second)).await.unwrap()
}

async fn open(store: &dyn Store) -> Vec<String> {
    let open = store.open_announcements(0).await.unwrap();
    open.into_iter().map(|announcement| announcement.id).collect()
}

impl Leader {
    async fn answer(&self, id: &str, second: i64) {
        let (fence, now) = (&self.fence, at(second));
        self.store.answer_announcement(fence, id, &answer("done"), now).await.unwrap();
    }
}

pub(super) async fn an_announcement_waits_until_it_is_answered(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = leader.store.as_ref();
    assert_eq!(announce(store, "a", None, 1).await, Announced::New);
    assert_eq!(announce(store, "b", None, 2).await, Announced::New);
    assert_eq!(open(store).await, ["a", "b"]);
    assert_eq!(store.open_announcements(1).await.unwrap().len(), 1);
    let kept = store.announcement("a").await.unwrap().unwrap();
    let expected =
        Announcement { id: "a".to_owned(), matter: matter("a"), at: at(1), answer: None };
    assert_eq!(kept, expected);
    leader.answer("a", 3).await;
    assert_eq!(open(store).await, ["b"]);
    let kept = store.announcement("a").await.unwrap().unwrap();
    assert_eq!(kept.answer, Some(answer("done")));
    // The first answer stays.
    let other = store.answer_announcement(&leader.fence, "a", &answer("other"), at(4)).await;
    other.unwrap();
    assert_eq!(store.announcement("a").await.unwrap().unwrap().answer, Some(answer("done")));
    leader.answer("nobody's", 4).await;
    assert_eq!(store.announcement("nobody's").await.unwrap(), None);
}

pub(super) async fn a_copy_is_known_under_either_name(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = leader.store.as_ref();
    assert_eq!(announce(store, "a", Some("name"), 1).await, Announced::New);
    assert_eq!(announce(store, "a", Some("other"), 2).await, Announced::Known);
    assert_eq!(announce(store, "b", Some("name"), 2).await, Announced::Known);
    assert_eq!(announce(store, "a", None, 2).await, Announced::Known);
    leader.answer("a", 3).await;
    assert_eq!(announce(store, "a", None, 4).await, Announced::Known, "also when it is answered");
    assert_eq!(announce(store, "c", None, 4).await, Announced::New);
    assert_eq!(announce(store, "d", None, 4).await, Announced::New, "no name is no common name");
    assert_eq!(open(store).await, ["c", "d"]);
}

pub(super) async fn fifty_copies_leave_one(harness: &dyn Harness) {
    let stores = processes(harness, 2).await;
    let tries = (0..CROWD).filter_map(|index| stores.get(index % 2).cloned());
    let tries = tries
        .map(|store| async move { store.announce(&new("a", Some("name")), at(1)).await.unwrap() });
    let results = join_all(tries).await;
    assert_eq!(results.iter().filter(|result| **result == Announced::New).count(), 1);
    assert_eq!(open(stores.first().unwrap().as_ref()).await, ["a"]);
}

pub(super) async fn an_announcement_wakes_the_loop_and_its_answer_does_not(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = leader.store.as_ref();
    let before = store.change_counter().await.unwrap();
    announce(store, "a", None, 1).await;
    let announced = store.change_counter().await.unwrap();
    assert!(announced > before);
    announce(store, "a", None, 2).await;
    leader.answer("a", 3).await;
    assert_eq!(store.change_counter().await.unwrap(), announced);
    // What forgets old ones does not turn it back.
    let later = at(4) + ANNOUNCEMENTS_REMEMBERED;
    store.announce(&new("b", None), later).await.unwrap();
    assert!(store.change_counter().await.unwrap() > announced);
}

pub(super) async fn an_old_leader_answers_nothing(harness: &dyn Harness) {
    let leader = leader(harness).await;
    announce(leader.store.as_ref(), "a", None, 1).await;
    harness.advance(TTL * 2);
    take_lease(&leader.store, "next").await;
    let answered =
        leader.store.answer_announcement(&leader.fence, "a", &answer("late"), at(2)).await;
    assert!(is_fenced(&answered), "{answered:?}");
    assert_eq!(open(leader.store.as_ref()).await, ["a"]);
}

pub(super) async fn what_is_old_is_forgotten(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = leader.store.as_ref();
    for id in ["answered", "open"] {
        announce(store, id, None, 1).await;
    }
    leader.answer("answered", 2).await;
    let remembered = at(2) + ANNOUNCEMENTS_REMEMBERED;
    store.announce(&new("b", None), remembered).await.unwrap();
    assert!(store.announcement("answered").await.unwrap().is_some(), "just not yet");
    let later = at(3) + ANNOUNCEMENTS_REMEMBERED;
    store.announce(&new("c", None), later).await.unwrap();
    assert_eq!(store.announcement("answered").await.unwrap(), None);
    assert_eq!(open(store).await, ["open", "b", "c"]);
    let much_later = at(2) + ANNOUNCEMENTS_WAIT;
    store.announce(&new("d", None), much_later).await.unwrap();
    assert_eq!(open(store).await, ["b", "c", "d"]);
}

pub(super) async fn only_so_many_wait(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = leader.store.as_ref();
    for number in 0..MOST_OPEN_ANNOUNCEMENTS {
        assert_eq!(announce(store, &format!("a{number}"), None, 1).await, Announced::New);
    }
    assert_eq!(announce(store, "more", None, 2).await, Announced::Full);
    assert_eq!(announce(store, "a7", None, 2).await, Announced::Known);
    leader.answer("a0", 3).await;
    assert_eq!(announce(store, "more", None, 4).await, Announced::New);
}

pub(super) async fn an_announcement_survives_its_receiver(harness: &dyn Harness) {
    let receiver = harness.connect().await;
    announce(receiver.as_ref(), "a", None, 1).await;
    drop(receiver);
    let leader = leader(harness).await;
    assert_eq!(open(leader.store.as_ref()).await, ["a"]);
    leader.answer("a", 2).await;
    assert_eq!(open(harness.connect().await.as_ref()).await, Vec::<String>::new());
}
