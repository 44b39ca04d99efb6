//! Whether a delivery is from who it claims to be from. Pure: headers, bytes, secrets and the time
//! go in.
//!
//! | forge | what is checked |
//! |---|---|
//! | GitHub | `X-Hub-Signature-256`: HMAC-SHA256 of the body |
//! | Gitea, Forgejo | `X-Gitea-Signature`, `X-Forgejo-Signature` (the same HMAC, bare), `X-Hub-Signature-256`: every one that is there |
//! | GitLab | `webhook-signature` over id, time and body (a secret that begins with `whsec_`), or `X-Gitlab-Token`, which says nothing about the body |

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use skep_core::push::Provider;
use subtle::{Choice, ConstantTimeEq as _};

/// The shortest secret that is accepted, in bytes: below it somebody could try them all.
pub const SHORTEST_SECRET: usize = 16;

/// How far a time in a delivery may be from this machine's, in seconds.
const TOLERANCE: i64 = 300;
/// What keys of Standard Webhooks begin with.
const KEY: &str = "whsec_";

/// Why a delivery is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nobody could tell a real delivery from a forged one.
    #[error("no secret is set for this forge")]
    NoSecret,
    /// It carries nothing that could be checked.
    #[error("the delivery carries no signature; set the secret in the forge's settings")]
    Unsigned,
    /// A header is there twice or cannot be read.
    #[error("a header of the signature is there twice or cannot be read")]
    Malformed,
    /// Somebody else made it, or changed it.
    #[error("the signature does not fit; compare the secret here with the one in the forge")]
    Forged,
    /// It is from another time.
    #[error("the time of the delivery is more than five minutes off; check both clocks")]
    Untimely,
}

/// True when a secret is long enough to be one.
#[must_use]
pub fn is_strong(secret: &str) -> bool {
    secret.trim_start_matches(KEY).len() >= SHORTEST_SECRET
}

/// What tells a delivery from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What was verified, as a digest: a copy has the same, whatever its headers say.
    pub content: [u8; 32],
    /// The name that the forge gave it, as a digest; not covered by most signatures.
    pub name: Option<[u8; 32]>,
}

/// Checks a delivery.
pub(crate) fn verify(
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[String],
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let secrets: Vec<&str> =
        secrets.iter().map(String::as_str).filter(|secret| is_strong(secret)).collect();
    if secrets.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let signed: &[(&str, &str)] = match provider {
        Provider::GitHub => &[("x-hub-signature-256", "sha256=")],
        Provider::Gitea => &[("x-gitea-signature", ""), ("x-hub-signature-256", "sha256=")],
        Provider::Forgejo => &[
            ("x-forgejo-signature", ""),
            ("x-gitea-signature", ""),
            ("x-hub-signature-256", "sha256="),
        ],
        Provider::GitLab => return gitlab(headers, body, &secrets, now),
    };
    let mut is_signed = false;
    for (name, prefix) in signed {
        let Some(given) = header(headers, name)? else { continue };
        is_signed = true;
        let expected = secrets.iter().map(|secret| {
            let code = mac(secret.as_bytes(), &[body]);
            format!("{prefix}{}", hex(&code))
        });
        if !is_any_of(given, expected) {
            return Err(Refusal::Forged);
        }
    }
    if !is_signed {
        return Err(Refusal::Unsigned);
    }
    let name = match provider {
        Provider::GitHub => "x-github-delivery",
        Provider::Forgejo if headers.contains_key("x-forgejo-delivery") => "x-forgejo-delivery",
        _ => "x-gitea-delivery",
    };
    let name = header(headers, name)?.map(|name| digest(name.as_bytes()));
    Ok(Identity { content: digest(body), name })
}

fn gitlab(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[&str],
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let (keys, tokens): (Vec<&str>, Vec<&str>) =
        secrets.iter().partition(|secret| secret.starts_with(KEY));
    let signature = header(headers, "webhook-signature")?;
    // Whoever has set a key alone wants every delivery signed.
    if let Some(signature) = signature.filter(|_| !keys.is_empty()) {
        return signed(headers, body, signature, &keys, now);
    }
    let Some(given) = header(headers, "x-gitlab-token")? else { return Err(Refusal::Unsigned) };
    if tokens.is_empty() {
        return Err(Refusal::Unsigned);
    }
    // Digests have one length, so that the time says nothing about the secret's.
    let given = digest(given.as_bytes());
    let fits = tokens.iter().fold(Choice::from(0), |fits, token| {
        fits | digest(token.as_bytes()).as_slice().ct_eq(given.as_slice())
    });
    if !bool::from(fits) {
        return Err(Refusal::Forged);
    }
    let name = match header(headers, "idempotency-key")? {
        Some(name) => Some(name),
        None => header(headers, "x-gitlab-event-uuid")?,
    };
    Ok(Identity { content: digest(body), name: name.map(|name| digest(name.as_bytes())) })
}

/// Standard Webhooks: `v1,BASE64`, several separated by blanks.
fn signed(
    headers: &HeaderMap,
    body: &[u8],
    signature: &str,
    keys: &[&str],
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let (id, time) = (header(headers, "webhook-id")?, header(headers, "webhook-timestamp")?);
    let (Some(id), Some(time)) = (id, time) else { return Err(Refusal::Unsigned) };
    let keys: Vec<Vec<u8>> = keys
        .iter()
        .filter_map(|key| STANDARD.decode(key.strip_prefix(KEY)?).ok())
        .filter(|key| key.len() >= SHORTEST_SECRET)
        .collect();
    if keys.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
    let expected: Vec<String> =
        keys.iter().map(|key| format!("v1,{}", STANDARD.encode(mac(key, &parts)))).collect();
    // Every part is looked at, so that the time says nothing about which one fits.
    let fits = signature
        .split(' ')
        .fold(false, |fits, given| fits | is_any_of(given, expected.iter().cloned()));
    if !fits {
        return Err(Refusal::Forged);
    }
    // After the signature: only then is it the sender's time.
    let seconds: i64 = time.parse().map_err(|_| Refusal::Malformed)?;
    if now.as_second().abs_diff(seconds) > TOLERANCE.unsigned_abs() {
        return Err(Refusal::Untimely);
    }
    let content = digest(&[id.as_bytes(), b".", body].concat());
    Ok(Identity { content, name: Some(digest(id.as_bytes())) })
}

/// A header that is there once or not at all.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Malformed);
    }
    value.to_str().map(Some).map_err(|_| Refusal::Malformed)
}

fn is_any_of(given: &str, expected: impl Iterator<Item = String>) -> bool {
    let fits = expected
        .fold(Choice::from(0), |fits, expected| fits | expected.as_bytes().ct_eq(given.as_bytes()));
    bool::from(fits)
}

pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length; the error type exists for other constructions.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "a secret of good length";
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const TIME: i64 = 1_614_265_330;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn now() -> Timestamp {
        Timestamp::from_second(TIME).expect("a time")
    }

    fn check(
        provider: Provider,
        pairs: &[(&str, &str)],
        secret: &str,
    ) -> Result<Identity, Refusal> {
        verify(provider, &headers(pairs), BODY, &[secret.to_owned()], now())
    }

    fn signature() -> String {
        hex(&mac(SECRET.as_bytes(), &[BODY]))
    }

    /// The example in GitHub's documentation.
    #[test]
    fn github_signs_as_it_says() {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = headers(&[("x-hub-signature-256", signature), ("x-github-delivery", "1")]);
        let secrets = ["It's a Secret to Everybody".to_owned()];
        let verified = verify(Provider::GitHub, &headers, b"Hello, World!", &secrets, now());
        assert!(verified.expect("genuine").name.is_some());
    }

    /// The example of the reference libraries of Standard Webhooks.
    #[test]
    fn gitlab_signs_as_the_standard_says() {
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let all = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        assert!(check(Provider::GitLab, &all, KEY).is_ok());
        let several = format!("v2,x {signature} v1,other");
        let two = [all[0], all[1], ("webhook-signature", several.as_str())];
        assert!(check(Provider::GitLab, &two, KEY).is_ok());
        for left_out in 0..2 {
            let mut some = all.to_vec();
            some.remove(left_out);
            assert_eq!(check(Provider::GitLab, &some, KEY), Err(Refusal::Unsigned));
        }
        // A token alone is not enough where a key is set.
        let token = [("x-gitlab-token", KEY)];
        assert_eq!(check(Provider::GitLab, &token, KEY), Err(Refusal::Unsigned));
        for (off, expected) in [(299, true), (-300, true), (301, false), (-301, false)] {
            let at = Timestamp::from_second(TIME + off).expect("a time");
            let verified = verify(Provider::GitLab, &headers(&all), BODY, &[KEY.to_owned()], at);
            assert_eq!(verified.is_ok(), expected, "{off}: {verified:?}");
        }
    }

    #[test]
    fn each_forge_has_its_headers() {
        let bare = signature();
        let prefixed = format!("sha256={bare}");
        for (provider, pairs) in [
            (Provider::GitHub, vec![("x-hub-signature-256", prefixed.as_str())]),
            (Provider::Gitea, vec![("x-gitea-signature", bare.as_str())]),
            (Provider::Gitea, vec![("x-hub-signature-256", prefixed.as_str())]),
            (Provider::Forgejo, vec![("x-forgejo-signature", bare.as_str())]),
            (
                Provider::Forgejo,
                vec![
                    ("x-forgejo-signature", bare.as_str()),
                    ("x-gitea-signature", bare.as_str()),
                    ("x-hub-signature-256", prefixed.as_str()),
                ],
            ),
            (Provider::GitLab, vec![("x-gitlab-token", SECRET)]),
        ] {
            assert!(check(provider, &pairs, SECRET).is_ok(), "{provider} {pairs:?}");
            let wrong = check(provider, &pairs, "another of good length!");
            assert_eq!(wrong, Err(Refusal::Forged), "{provider}");
            let twice: Vec<_> = pairs.iter().chain(&pairs).copied().collect();
            assert_eq!(check(provider, &twice, SECRET), Err(Refusal::Malformed), "{provider}");
        }
        for (provider, pairs) in [
            (Provider::GitHub, vec![("x-hub-signature-256", bare.as_str())]),
            (Provider::Gitea, vec![("x-gitea-signature", prefixed.as_str())]),
            (
                Provider::Forgejo,
                vec![("x-forgejo-signature", "00"), ("x-gitea-signature", bare.as_str())],
            ),
            (Provider::GitLab, vec![("x-gitlab-token", "a secret of good lengtH")]),
        ] {
            assert_eq!(check(provider, &pairs, SECRET), Err(Refusal::Forged), "{provider}");
        }
        for provider in Provider::ALL {
            assert_eq!(check(provider, &[], SECRET), Err(Refusal::Unsigned), "{provider}");
            // The old one of GitHub, and others' headers.
            let other = [("x-hub-signature", bare.as_str()), ("authorization", SECRET)];
            assert_eq!(check(provider, &other, SECRET), Err(Refusal::Unsigned), "{provider}");
        }
    }

    #[test]
    fn without_a_good_secret_nobody_is_believed() {
        for secret in ["", "short", "whsec_", "whsec_short"] {
            let code = hex(&mac(secret.as_bytes(), &[BODY]));
            let prefixed = format!("sha256={code}");
            for (provider, pairs) in [
                (Provider::GitHub, [("x-hub-signature-256", prefixed.as_str())]),
                (Provider::Gitea, [("x-gitea-signature", code.as_str())]),
                (Provider::Forgejo, [("x-forgejo-signature", code.as_str())]),
                (Provider::GitLab, [("x-gitlab-token", secret)]),
            ] {
                assert_eq!(check(provider, &pairs, secret), Err(Refusal::NoSecret), "{provider}");
            }
        }
        let none = verify(Provider::GitHub, &headers(&[]), BODY, &[], now());
        assert_eq!(none, Err(Refusal::NoSecret));
    }

    #[test]
    fn both_secrets_count_during_a_rotation() {
        let bare = signature();
        let secrets = ["the newer one, of good length".to_owned(), SECRET.to_owned()];
        let pairs = headers(&[("x-gitea-signature", bare.as_str())]);
        assert!(verify(Provider::Gitea, &pairs, BODY, &secrets, now()).is_ok());
        let token = headers(&[("x-gitlab-token", SECRET)]);
        let secrets = [KEY.to_owned(), SECRET.to_owned()];
        assert!(verify(Provider::GitLab, &token, BODY, &secrets, now()).is_ok());
    }

    proptest! {
        /// Whatever byte of the body, of the signature, or of what it covers is changed, the
        /// delivery is refused.
        #[test]
        fn any_changed_byte_is_refused(
            body in proptest::collection::vec(any::<u8>(), 1..200),
            which in 0_usize..4, at in any::<usize>(), with in 0x21_u8..0x7f,
        ) {
            let mut id = b"msg_1".to_vec();
            let mut time = TIME.to_string().into_bytes();
            for provider in Provider::ALL {
                let (name, secret, mut given) = match provider {
                    Provider::GitLab => {
                        let key = STANDARD.decode(&KEY[6..]).expect("a key");
                        let code = mac(&key, &[&id, b".", &time, b".", &body]);
                        ("webhook-signature", KEY, format!("v1,{}", STANDARD.encode(code)))
                    }
                    Provider::GitHub => {
                        let code = hex(&mac(SECRET.as_bytes(), &[&body]));
                        ("x-hub-signature-256", SECRET, format!("sha256={code}"))
                    }
                    Provider::Gitea => {
                        ("x-gitea-signature", SECRET, hex(&mac(SECRET.as_bytes(), &[&body])))
                    }
                    Provider::Forgejo => {
                        ("x-forgejo-signature", SECRET, hex(&mac(SECRET.as_bytes(), &[&body])))
                    }
                };
                let mut changed = body.clone();
                let verified = |body: &[u8], given: &str, id: &[u8], time: &[u8]| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                    let (id, time) = (text(id), text(time));
                    let pairs = [(name, given), ("webhook-id", &id), ("webhook-timestamp", &time)];
                    verify(provider, &headers(&pairs), body, &[secret.to_owned()], now()).is_ok()
                };
                prop_assert!(verified(&changed, &given, &id, &time), "{}", provider);
                let (saved_id, saved_time) = (id.clone(), time.clone());
                let place = match which {
                    0 => &mut changed,
                    1 => {
                        let mut bytes = given.clone().into_bytes();
                        let length = bytes.len();
                        prop_assume!(bytes[at % length] != with);
                        bytes[at % length] = with;
                        given = String::from_utf8(bytes).expect("text");
                        prop_assert!(!verified(&changed, &given, &id, &time), "{}", provider);
                        continue;
                    }
                    2 if provider == Provider::GitLab => &mut id,
                    3 if provider == Provider::GitLab => &mut time,
                    _ => &mut changed,
                };
                let length = place.len();
                prop_assume!(place[at % length] != with);
                place[at % length] = with;
                prop_assert!(!verified(&changed, &given, &id, &time), "{}", provider);
                (id, time) = (saved_id, saved_time);
            }
        }
    }
}
