//! Words that the engine does not refuse and does not keep: it takes its own default instead of
//! a word that it does not know. Written, such a word would differ again at once.
//!
//! Seen in moby's conversion (`daemon/cluster/convert`), where the word is looked up in a map of
//! swarmkit's names and a miss is its first one.

use serde_json::Value;

use super::Blocked;

/// Where the words stand and which ones are known; `*` stands for every entry of a list.
const WORDS: &[(&str, &[&str])] = &[
    ("/EndpointSpec/Mode", &["vip", "dnsrr"]),
    ("/EndpointSpec/Ports/*/Protocol", &["tcp", "udp", "sctp"]),
    ("/EndpointSpec/Ports/*/PublishMode", &["ingress", "host"]),
    ("/TaskTemplate/ContainerSpec/Isolation", &["default", "process", "hyperv"]),
    ("/TaskTemplate/ContainerSpec/Privileges/Seccomp/Mode", &["default", "unconfined", "custom"]),
    ("/TaskTemplate/ContainerSpec/Privileges/AppArmor/Mode", &["default", "disabled"]),
];

/// The first word of a spec that the engine would replace.
pub(super) fn unknown_word(spec: &Value) -> Option<Blocked> {
    let (pointer, word, known) = WORDS.iter().find_map(|(pointer, known)| {
        let wrong = |value: &Value| {
            let word = value.as_str().filter(|word| !word.is_empty())?;
            (!known.iter().any(|known| known.eq_ignore_ascii_case(word))).then(|| word.to_owned())
        };
        let word = match pointer.split_once("/*") {
            None => spec.pointer(pointer).and_then(wrong),
            Some((list, below)) => spec
                .pointer(list)
                .and_then(Value::as_array)
                .and_then(|list| list.iter().find_map(|entry| wrong(entry.pointer(below)?))),
        }?;
        Some((pointer, word, known))
    })?;
    Some(Blocked {
        code: "VALUE_UNKNOWN".to_owned(),
        message: format!("{pointer} says {word:?}, which the engine replaces by its default"),
        hint: format!("use one of: {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_words_pass_in_any_case_and_others_are_named() {
        let port = |protocol: &str| {
            json!({"EndpointSpec": {"Mode": "vip", "Ports": [
                {"TargetPort": 1}, {"TargetPort": 2, "Protocol": protocol},
            ]}})
        };
        assert_eq!(unknown_word(&port("UDP")), None);
        assert_eq!(unknown_word(&port("")), None);
        let blocked = unknown_word(&port("quic")).unwrap();
        assert_eq!(blocked.code, "VALUE_UNKNOWN");
        assert!(blocked.message.contains("\"quic\""), "{}", blocked.message);
        assert!(blocked.hint.contains("sctp"), "{}", blocked.hint);
        assert!(unknown_word(&json!({"EndpointSpec": {"Mode": "anycast"}})).is_some());
    }
}
