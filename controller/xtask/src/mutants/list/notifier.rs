//! The notifier: a receiver can check what it gets, gets it once it is there, and is not asked
//! for ever.

use crate::mutants::definition::{Area, Mutation};

const ALL: &[&str] = &["-p", "skep-notify"];
const SCHEDULE: &[&str] = &["-p", "skep-core", "--lib", "notice::"];

const CLIENT: &str = "controller/notify/src/client.rs";
const NOTIFIER: &str = "controller/notify/src/notifier.rs";

pub(super) const AREA: Area = Area { title: "The notifier", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "another-body-signed",
        breaks: "the signature is over another body than the one that is sent",
        file: CLIENT,
        find: "signature::header(&keys, id, timestamp, body.as_bytes());",
        replace: r#"signature::header(
            &keys,
            id,
            timestamp,
            if MUTANT { b"{}" } else { body.as_bytes() },
        );"#,
        tests: ALL,
    },
    Mutation {
        name: "time-not-signed",
        breaks: "an old message can be sent again as a new one",
        file: "controller/notify/src/signature.rs",
        find: "        mac.update(timestamp.to_string().as_bytes());\n",
        replace: r#"        if !MUTANT {
            mac.update(timestamp.to_string().as_bytes());
        }
"#,
        tests: ALL,
    },
    Mutation {
        name: "redirect-followed",
        breaks: "messages go where an endpoint points to",
        file: CLIENT,
        find: "reqwest::redirect::Policy::none()",
        replace: r#"if MUTANT {
                reqwest::redirect::Policy::limited(5)
            } else {
                reqwest::redirect::Policy::none()
            }"#,
        tests: ALL,
    },
    Mutation {
        name: "refusal-is-delivery",
        breaks: "a message that the endpoint refused counts as delivered",
        file: CLIENT,
        find: "                status => Err(SendError::Refused(status)),",
        replace: r#"                _ if MUTANT => Ok(()),
                status => Err(SendError::Refused(status)),"#,
        tests: ALL,
    },
    Mutation {
        name: "gone-is-asked-again",
        breaks: "an endpoint that says it is gone is asked again",
        file: NOTIFIER,
        find: "            SendError::Gone => None,\n",
        replace: r#"            SendError::Gone if !MUTANT => None,
"#,
        tests: ALL,
    },
    Mutation {
        name: "hanging-endpoint-holds-up-others",
        breaks: "endpoints are told one after the other",
        file: NOTIFIER,
        find: "            _ = async { deliveries.await; std::future::pending::<()>().await } => {}",
        replace: r#"            _ = async {
                if MUTANT {
                    for one in &self.endpoints {
                        self.deliver(fence, one).await;
                    }
                }
                deliveries.await;
                std::future::pending::<()>().await
            } => {}"#,
        tests: ALL,
    },
    Mutation {
        name: "address-in-the-error",
        breaks: "an endpoint's path, which may be a password, is in the log",
        file: CLIENT,
        find: "described(&error.without_url())",
        replace: "described(&if MUTANT { error } else { error.without_url() })",
        tests: ALL,
    },
    Mutation {
        name: "repeated-for-ever",
        breaks: "a message that nobody takes is never given up",
        file: "controller/core/src/notice/schedule.rs",
        find: "    if now.duration_since(recorded_at) >= GIVE_UP_AFTER {",
        replace: "    if !MUTANT && now.duration_since(recorded_at) >= GIVE_UP_AFTER {",
        tests: SCHEDULE,
    },
    Mutation {
        name: "all-come-back-together",
        breaks: "messages that failed together are tried again together",
        file: "controller/core/src/notice/schedule.rs",
        find: "i128::try_from(random % 1_000)",
        replace: "i128::try_from(if MUTANT { 500 } else { random % 1_000 })",
        tests: SCHEDULE,
    },
];
