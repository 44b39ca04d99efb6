use skep_swarm::registry::Proof;

use super::*;

fn password(auth: Option<RegistryAuth>) -> Option<String> {
    match auth?.proof {
        Proof::Password { password, .. } => Some(password),
        Proof::IdentityToken(_) | Proof::RegistryToken(_) => None,
    }
}

#[tokio::test]
async fn the_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let credentials = Credentials::named(path.clone());
    assert_eq!(credentials.of("ghcr.io").await, None, "it is not there yet");
    std::fs::write(&path, r#"{"auths": {"ghcr.io": {"username": "u", "password": "one"}}}"#)
        .unwrap();
    assert_eq!(password(credentials.of("ghcr.io").await).as_deref(), Some("one"));
    assert_eq!(credentials.of("docker.io").await, None);
    std::fs::write(&path, r#"{"auths": {"ghcr.io": {"username": "u", "password": "second"}}}"#)
        .unwrap();
    assert_eq!(password(credentials.of("ghcr.io").await).as_deref(), Some("second"));
    std::fs::write(&path, "broken").unwrap();
    assert_eq!(credentials.of("ghcr.io").await, None);
    assert_eq!(Credentials::none().of("ghcr.io").await, None);
}

#[test]
fn docker_decides_where_its_file_is() {
    let with = |docker: Option<&str>, home: Option<&str>| {
        default_path(|name| match name {
            "DOCKER_CONFIG" => docker.map(PathBuf::from),
            _ => home.map(PathBuf::from),
        })
    };
    assert_eq!(with(Some("/d"), Some("/h")), Some(PathBuf::from("/d/config.json")));
    assert_eq!(with(None, Some("/h")), Some(PathBuf::from("/h/.docker/config.json")));
    assert_eq!(with(None, None), None);
}
