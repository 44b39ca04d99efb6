//! What the engine, or docker on its way to the engine, refuses of a whole stack: found before
//! anything is changed.

use std::collections::BTreeSet;

use skep_yaml::{Problems, did_you_mean};

use super::places::Places;
use super::{FileReference, Mount, Service, Stack};
use crate::value::ImageReference;

/// Checks a merged stack.
pub(crate) fn stack(
    stack: &Stack,
    places: &Places,
    problems: &mut Problems,
    warnings: &mut Problems,
) {
    for (name, service) in &stack.services {
        let at = format!("services.{name}");
        Check { stack, service, at, places, problems, warnings }.all(name);
    }
    for (name, _) in stack.networks.iter().filter(|(_, network)| {
        network.external.is && (network.driver != String::new() || !network.labels.0.is_empty())
    }) {
        let message = "an external network is taken as it is: driver and labels have no effect";
        warnings.push(places.problem(
            &format!("networks.{name}"),
            "IGNORED_KEY",
            message,
            "take them out",
        ));
    }
}

struct Check<'a> {
    stack: &'a Stack,
    service: &'a Service,
    at: String,
    places: &'a Places,
    problems: &'a mut Problems,
    warnings: &'a mut Problems,
}

impl Check<'_> {
    fn all(&mut self, name: &str) {
        self.name(name);
        self.image();
        self.mode();
        self.words();
        self.health();
        self.restart();
        self.credentials();
        self.networks();
        for (index, mount) in self.service.volumes.0.iter().enumerate() {
            self.mount(index, mount);
        }
        let secrets: Vec<&str> = self.stack.secrets.keys().map(String::as_str).collect();
        let configs: Vec<&str> = self.stack.configs.keys().map(String::as_str).collect();
        self.references("secrets", &self.service.secrets.0, &secrets);
        self.references("configs", &self.service.configs.0, &configs);
    }

    fn refuse(&mut self, field: &str, code: &'static str, message: impl Into<String>, hint: &str) {
        let path = if field.is_empty() { self.at.clone() } else { format!("{}.{field}", self.at) };
        self.problems.push(self.places.problem(&path, code, message, hint));
    }

    fn name(&mut self, name: &str) {
        let inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        if !name.chars().all(inner) || !name.ends_with(|char: char| char.is_ascii_alphanumeric()) {
            let hint = "letters, digits, - and _ are allowed, with a letter or a digit at the end";
            self.refuse("", "BAD_NAME", "Swarm does not take the name of this service", hint);
        }
    }

    fn image(&mut self) {
        let image = &self.service.image;
        if image.is_empty() {
            let hint = "add `image: NAME:TAG`; Swarm builds nothing";
            self.refuse("", "MISSING_KEY", "the service has no image", hint);
        } else if let Err(why) = ImageReference::parse(image) {
            let message = format!("not an image reference: {why}");
            self.refuse(
                "image",
                "BAD_IMAGE",
                message,
                "write REPOSITORY:TAG or REPOSITORY@sha256:DIGEST",
            );
        }
    }

    fn mode(&mut self) {
        const MODES: [&str; 4] = ["replicated", "global", "replicated-job", "global-job"];
        let deploy = &self.service.deploy;
        match &*deploy.mode {
            "" | "replicated" | "replicated-job" => {}
            "global" | "global-job" => {
                if deploy.replicas.is_some() {
                    let hint = "take `replicas` out: a global service has one task on each node";
                    let message = "a global service has no number of replicas";
                    self.refuse("deploy.replicas", "CONFLICTING_KEYS", message, hint);
                }
            }
            mode => self.word("deploy.mode", mode, &MODES),
        }
        if deploy.mode.ends_with("-job") && deploy.update_config.is_some() {
            let message = "Swarm rolls out no jobs: update_config is refused for them";
            self.refuse("deploy.update_config", "CONFLICTING_KEYS", message, "take it out");
        }
        let condition = deploy.restart_policy.as_ref().map(|policy| &*policy.condition);
        if deploy.mode.ends_with("-job") && matches!(condition, Some("any")) {
            let hint = "write condition: on-failure or none";
            let message = "a job that is done is not started again";
            self.refuse("deploy.restart_policy.condition", "CONFLICTING_KEYS", message, hint);
        }
    }

    /// A word that the engine does not know.
    fn word(&mut self, field: &str, found: &str, known: &[&'static str]) {
        let hint = did_you_mean(found, known.iter().copied()).map_or_else(
            || format!("one of: {}", known.join(", ")),
            |word| format!("did you mean \"{word}\"?"),
        );
        self.refuse(field, "UNKNOWN_WORD", format!("expected one of {}", known.join(", ")), &hint);
    }

    fn words(&mut self) {
        let deploy = &self.service.deploy;
        if !matches!(&*deploy.endpoint_mode.to_lowercase(), "" | "vip" | "dnsrr") {
            self.word("deploy.endpoint_mode", &deploy.endpoint_mode, &["vip", "dnsrr"]);
        }
        let update = deploy.update_config.as_ref().map(|update| &*update.failure_action);
        if !matches!(update.unwrap_or_default(), "" | "pause" | "continue" | "rollback") {
            let field = "deploy.update_config.failure_action";
            self.word(field, update.unwrap_or_default(), &["pause", "continue", "rollback"]);
        }
        let back = deploy.rollback_config.as_ref().map(|rollback| &*rollback.failure_action);
        if !matches!(back.unwrap_or_default(), "" | "pause" | "continue") {
            let field = "deploy.rollback_config.failure_action";
            self.word(field, back.unwrap_or_default(), &["pause", "continue"]);
        }
        let policy = deploy.restart_policy.as_ref().map(|policy| &*policy.condition);
        if !matches!(policy.unwrap_or_default(), "" | "none" | "on-failure" | "any") {
            let field = "deploy.restart_policy.condition";
            self.word(field, policy.unwrap_or_default(), &["none", "on-failure", "any"]);
        }
        let ingress = |mode: &str| matches!(mode, "" | "ingress");
        if deploy.endpoint_mode.eq_ignore_ascii_case("dnsrr")
            && self.service.ports.0.iter().any(|port| ingress(&port.mode))
        {
            let hint = "publish with mode: host, or leave endpoint_mode out";
            let message = "a service without a virtual address cannot publish on the swarm's mesh";
            self.refuse("deploy.endpoint_mode", "CONFLICTING_KEYS", message, hint);
        }
    }

    fn health(&mut self) {
        let Some(health) = &self.service.healthcheck else { return };
        if health.disable && !health.test.0.is_empty() {
            let message = "a health check is disabled, or has a test, not both";
            self.refuse("healthcheck", "CONFLICTING_KEYS", message, "take one of the two out");
        }
        let first = health.test.0.first().map(String::as_str);
        if !matches!(first, None | Some("" | "NONE" | "CMD" | "CMD-SHELL")) {
            let hint = "write the command as one text, or begin the list with CMD or CMD-SHELL";
            self.refuse(
                "healthcheck.test",
                "UNKNOWN_WORD",
                "the test begins with no word that says how it is run",
                hint,
            );
        }
    }

    fn restart(&mut self) {
        let restart = &*self.service.restart;
        if self.service.deploy.restart_policy.is_some() || restart.is_empty() {
            return;
        }
        let (word, count) = restart.split_once(':').unwrap_or((restart, ""));
        if !matches!(word, "no" | "always" | "unless-stopped" | "on-failure") {
            self.word("restart", word, &["no", "always", "unless-stopped", "on-failure"]);
        } else if !count.is_empty() && count.parse::<u32>().is_err() {
            let message = "the number of attempts is no whole number";
            self.refuse("restart", "WRONG_TYPE", message, "write on-failure:3");
        }
    }

    fn credentials(&mut self) {
        let spec = &self.service.credential_spec;
        let said =
            [&spec.config, &spec.file, &spec.registry].iter().filter(|s| !s.is_empty()).count();
        if said > 1 {
            let message =
                "a credential spec comes from a config, a file or the registry, not from several";
            self.refuse("credential_spec", "CONFLICTING_KEYS", message, "keep one of them");
        }
        if !spec.config.is_empty() && !self.stack.configs.contains_key(&spec.config) {
            let known: Vec<&str> = self.stack.configs.keys().map(String::as_str).collect();
            self.undefined("credential_spec.config", "config", &spec.config, &known);
        }
    }

    fn undefined(&mut self, field: &str, what: &str, name: &str, known: &[&str]) {
        let hint = did_you_mean(name, known.iter().copied()).map_or_else(
            || format!("declare it under the top-level `{what}s:`"),
            |word| format!("did you mean \"{word}\"?"),
        );
        let message = if self.places.is_substituted(&format!("{}.{field}", self.at)) {
            format!("this {what} is declared nowhere in the stack")
        } else {
            let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
            format!("the {what} \"{shown}\" is declared nowhere in the stack")
        };
        self.refuse(field, "UNDEFINED", message, &hint);
    }

    fn networks(&mut self) {
        let known: Vec<&str> = self.stack.networks.keys().map(String::as_str).collect();
        for name in self.service.networks.0.keys() {
            if name != "default" && !known.contains(&name.as_str()) {
                // In a list the name may come from a variable.
                let named = self.places.has(&format!("{}.networks.{name}", self.at));
                let field = if named { format!("networks.{name}") } else { "networks".to_owned() };
                self.undefined(&field, "network", name, &known);
            }
        }
    }

    fn mount(&mut self, index: usize, mount: &Mount) {
        let field = format!("volumes[{index}]");
        if mount.target.is_empty() {
            let hint = "add `target: /path/in/the/container`";
            self.refuse(&field, "MISSING_KEY", "nothing says where it is mounted", hint);
        }
        let options = [
            ("bind", mount.bind.is_some(), &["bind", "npipe"][..]),
            ("volume", mount.volume.is_some(), &["volume", ""]),
            ("tmpfs", mount.tmpfs.is_some(), &["tmpfs"]),
        ];
        for (key, said, kinds) in options {
            if said && !kinds.contains(&&*mount.kind) {
                let message = format!("options of a {key} mount do not go with this type of mount");
                self.refuse(
                    &format!("{field}.{key}"),
                    "CONFLICTING_KEYS",
                    message,
                    "take them out",
                );
            }
        }
        match &*mount.kind {
            "volume" | "" => {
                if !mount.source.is_empty() && !self.stack.volumes.contains_key(&mount.source) {
                    let known: Vec<&str> = self.stack.volumes.keys().map(String::as_str).collect();
                    self.undefined(&field, "volume", &mount.source, &known);
                }
            }
            "bind" => {}
            "tmpfs" => {
                if !mount.source.is_empty() {
                    self.refuse(
                        &field,
                        "CONFLICTING_KEYS",
                        "a tmpfs has no source",
                        "take `source` out",
                    );
                }
            }
            "npipe" | "cluster" | "image" if mount.source.is_empty() => {
                let message = "a mount of this type needs a source";
                self.refuse(&field, "MISSING_KEY", message, "add `source:`");
            }
            "npipe" => {}
            "cluster" => {
                let own = !mount.source.starts_with("group:");
                if own && !self.stack.volumes.contains_key(&mount.source) {
                    let known: Vec<&str> = self.stack.volumes.keys().map(String::as_str).collect();
                    self.undefined(&field, "volume", &mount.source, &known);
                }
            }
            "image" => {
                let hint = "bake the files into the image of the service, or use a volume";
                let message = "Swarm has no mounts of type image";
                self.refuse(&format!("{field}.type"), "UNKNOWN_WORD", message, hint);
            }
            kind => self.word(
                &format!("{field}.type"),
                kind,
                &["volume", "bind", "tmpfs", "npipe", "cluster"],
            ),
        }
        let before = self.service.volumes.0.get(..index).unwrap_or_default();
        if before.iter().any(|other| other.target == mount.target) {
            let message = "something else is mounted there already";
            self.refuse(&field, "DUPLICATE_TARGET", message, "change one of the two targets");
        }
        if !mount.consistency.is_empty() {
            let path = format!("{}.{field}.consistency", self.at);
            let message = "\"consistency\" has no effect on a swarm";
            self.warnings.push(self.places.problem(
                &path,
                "IGNORED_BY_SWARM",
                message,
                "take it out",
            ));
        }
    }

    fn references(&mut self, section: &str, references: &[FileReference], known: &[&str]) {
        let mut targets = BTreeSet::new();
        for (index, reference) in references.iter().enumerate() {
            let field = format!("{section}[{index}]");
            if !known.contains(&reference.source.as_str()) {
                self.undefined(&field, section.trim_end_matches('s'), &reference.source, known);
            }
            let target =
                if reference.target.is_empty() { &reference.source } else { &reference.target };
            if !targets.insert(target) {
                let message = "another one appears as the same file";
                self.refuse(
                    &field,
                    "DUPLICATE_TARGET",
                    message,
                    "give one of the two another `target`",
                );
            }
        }
    }
}
