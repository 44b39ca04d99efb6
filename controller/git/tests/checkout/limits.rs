//! What a repository may cost.

use skep_git::{DialError, Entry, Error, Limits, ReadError};

use crate::lab::{Lab, texts};
use crate::server::Server;

/// Text that no compression makes small.
fn noise(length: usize) -> String {
    let mut state = 7_u64;
    let mut text = String::new();
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("{:08x}", state >> 32));
    }
    text
}

#[tokio::test]
async fn a_huge_file_is_listed_and_not_read() {
    let lab = Lab::new();
    lab.write("huge", &noise(200_000));
    lab.push("a.yml", "a");
    let limits = Limits { file: 100_000, ..Limits::default() };
    let snapshot = lab.reader_with(limits).read(&lab.source(), None).await.unwrap();
    assert_eq!(texts(&snapshot).into_iter().collect::<Vec<_>>(), [("a.yml".into(), "a".into())]);
    let size = lab.path("work/huge").metadata().unwrap().len();
    let huge = snapshot.files.entries().find(|(name, _)| *name == "huge").unwrap().1;
    assert_eq!(huge, &Entry::TooLarge(size));
    let error = snapshot.files.read("huge").unwrap_err();
    assert_eq!(error, ReadError::TooLarge { name: "huge".to_owned(), size });
}

#[tokio::test]
async fn too_many_and_too_large_is_said() {
    let lab = Lab::new();
    for at in 0..5 {
        lab.write(&format!("{at}.yml"), "some text");
    }
    lab.push("a.yml", "a");
    for (limits, said) in [
        (Limits { files: 5, ..Limits::default() }, "5 files"),
        (Limits { total: 45, ..Limits::default() }, "45 bytes"),
    ] {
        let error = lab.reader_with(limits).read(&lab.source(), None).await.unwrap_err();
        assert_eq!(error.code(), "GIT_TOO_LARGE", "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let enough = Limits { files: 6, total: 46, ..Limits::default() };
    assert_eq!(texts(&lab.reader_with(enough).read(&lab.source(), None).await.unwrap()).len(), 6);
}

#[tokio::test]
async fn a_transfer_ends_at_its_limit() {
    let lab = Lab::new();
    lab.push("noise", &noise(2_000_000));
    let server = Server::open(&lab).await;
    let limits = Limits { transfer: 200_000, ..Limits::default() };
    let error = lab.reader_with(limits).read(&server.source(), None).await.unwrap_err();
    let Error::Dial { problem: DialError::TooMuch { limit, .. }, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(limit, 200_000);
    lab.reader().read(&server.source(), None).await.unwrap();
}

#[tokio::test]
async fn a_repository_ends_at_its_limit_on_disk() {
    let lab = Lab::new();
    lab.push("noise", &noise(2_000_000));
    let limits = Limits { disk: 200_000, ..Limits::default() };
    let error = lab.reader_with(limits).read(&lab.source(), None).await.unwrap_err();
    assert_eq!(error.code(), "GIT_TOO_LARGE", "{error}");
    lab.reader().read(&lab.source(), None).await.unwrap();
}
