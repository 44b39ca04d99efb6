//! What a policy file says that its author can hardly mean: rules that never decide, limits that
//! limit nothing, windows that never open.

use serde::Serialize;
use skep_crds::policy::{Mode, PolicyFile, PolicyRule, Tier};

use super::pattern::{Pattern, covers};
use super::{KNOWN_KINDS, SensitiveClass, only_looks};

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it must be corrected, or only looked at.
    pub level: Level,
    /// The stable word of the check.
    pub code: &'static str,
    /// Where it stands, as `file:line:column`; empty for the file as a whole.
    pub location: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth a look.
    Warn,
    /// The file does not do what it says.
    Deny,
}

impl Level {
    /// The word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// Everything that is odd about a policy file, in the order of its rules.
#[must_use]
pub fn lint(file: &PolicyFile) -> Vec<Finding> {
    let mut found = Vec::new();
    for (place, rule) in file.rules.iter().enumerate() {
        let earlier = file.rules.get(..place).unwrap_or_default();
        shadowed(rule, earlier, file, place, &mut found);
        globs(rule, &mut found);
        fields(rule, &mut found);
        windows(rule, &mut found);
        limits(rule, &mut found);
        names(rule, earlier, &mut found);
        if rule.priority != 0 {
            let message = "the order of a file decides; priority orders only stored overrides";
            found.push(warn(rule, "PRIORITY_IN_FILE", message, "delete the key"));
        }
    }
    whole(file, &mut found);
    found
}

fn finding(
    rule: &PolicyRule,
    level: Level,
    code: &'static str,
    message: String,
    hint: &str,
) -> Finding {
    let location = rule.location.as_ref().map(ToString::to_string).unwrap_or_default();
    Finding { level, code, location, message, hint: hint.to_owned() }
}

fn warn(rule: &PolicyRule, code: &'static str, message: impl Into<String>, hint: &str) -> Finding {
    finding(rule, Level::Warn, code, format!("rule {}: {}", label(rule), message.into()), hint)
}

fn deny(rule: &PolicyRule, code: &'static str, message: impl Into<String>, hint: &str) -> Finding {
    finding(rule, Level::Deny, code, format!("rule {}: {}", label(rule), message.into()), hint)
}

fn label(rule: &PolicyRule) -> String {
    rule.name.clone().unwrap_or_else(|| format!("{} on {}", rule.kind, rule.target))
}

/// A rule behind one that matches everything that it matches never decides.
fn shadowed(
    rule: &PolicyRule,
    earlier: &[PolicyRule],
    file: &PolicyFile,
    place: usize,
    found: &mut Vec<Finding>,
) {
    let decides = |one: &&PolicyRule| one.mode == Mode::Enforce;
    let front = earlier.iter().filter(decides).find(|front| {
        covers(&front.kind, &rule.kind)
            && covers(&front.target, &rule.target)
            && covers(&front.domain, &rule.domain)
    });
    let Some(front) = front else { return };
    let is_everything = [&front.kind, &front.target, &front.domain].iter().all(|glob| *glob == "*");
    if is_everything && front.tier == Tier::Forbidden {
        // Told once, at the rule that is in the way.
        let is_first = earlier.len() == position(file, front) + 1;
        if is_first {
            let rest = file.rules.len().saturating_sub(place);
            let message =
                format!("it forbids everything, so the {rest} rules behind it never decide");
            found.push(deny(front, "CATCH_ALL_FIRST", message, "move it to the end"));
        }
        return;
    }
    let at = front.location.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
    let message =
        format!("it never decides: {}{at} comes first and matches all of it", label(front));
    let hint = "put the narrower rule first, or delete one";
    found.push(if rule.tier > front.tier {
        deny(rule, "SHADOWED_AND_STRICTER", message, hint)
    } else {
        warn(rule, "SHADOWED", message, hint)
    });
}

fn position(file: &PolicyFile, rule: &PolicyRule) -> usize {
    file.rules.iter().position(|one| std::ptr::eq(one, rule)).unwrap_or_default()
}

fn globs(rule: &PolicyRule, found: &mut Vec<Finding>) {
    for (key, glob) in [("kind", &rule.kind), ("target", &rule.target), ("domain", &rule.domain)] {
        if let Some(why) = Pattern::new(glob).problem() {
            let message = format!("{key} {glob:?} is not a glob ({why})");
            found.push(deny(rule, "BAD_GLOB", message, "close the bracket, or write [[] for one"));
        }
    }
    let kind = Pattern::new(&rule.kind);
    if kind.problem().is_none()
        && !KNOWN_KINDS.iter().any(|known| kind.matches(known) == Some(true))
    {
        let message = format!("no kind of action that is known matches {:?}", rule.kind);
        let hint = format!("known are {}", KNOWN_KINDS.join(", "));
        found.push(warn(rule, "UNKNOWN_KIND", message, &hint));
    }
}

fn fields(rule: &PolicyRule, found: &mut Vec<Finding>) {
    let unknown =
        |name: &&String| !name.starts_with('/') && SensitiveClass::from_word(name).is_none();
    for name in rule.fields.iter().filter(unknown) {
        let known: Vec<_> = SensitiveClass::ALL.iter().map(|class| class.as_str()).collect();
        let hint = format!("known are {} and JSON pointers", known.join(", "));
        let message = format!("{name:?} is no sensitive field and allows nothing");
        found.push(deny(rule, "UNKNOWN_FIELD", message, &hint));
    }
    if rule.tier >= Tier::ApprovalRequired && !rule.fields.is_empty() {
        let message = format!("fields have no effect under {}", rule.tier.as_str());
        found.push(warn(rule, "NO_EFFECT", message, "delete the key, or choose an automatic tier"));
    }
}

fn windows(rule: &PolicyRule, found: &mut Vec<Finding>) {
    let Some(window) = &rule.maintenance_window else { return };
    if window.spans().is_empty() {
        let message = "its maintenance window cannot be read, so it never opens";
        let hint = "write for example 02:00-05:00 or Mon-Fri 22:00-04:00 Europe/Berlin";
        found.push(deny(rule, "WINDOW_NEVER_OPENS", message, hint));
    } else if rule.tier == Tier::Forbidden {
        let message = "a maintenance window opens nothing that is forbidden";
        found.push(warn(rule, "NO_EFFECT", message, "delete the key, or choose another tier"));
    }
}

fn limits(rule: &PolicyRule, found: &mut Vec<Finding>) {
    let has_limit = rule.rate_limit.is_some() || rule.blast_radius.is_some();
    if rule.tier >= Tier::ApprovalRequired {
        if has_limit {
            let message = format!("nothing is counted under {}", rule.tier.as_str());
            let hint = "delete the limits, or choose an automatic tier";
            found.push(warn(rule, "NO_EFFECT", message, hint));
        }
        return;
    }
    let kind = Pattern::new(&rule.kind);
    let changes = |known: &&&str| kind.matches(known) == Some(true) && !only_looks(known);
    if !has_limit && KNOWN_KINDS.iter().any(|known| changes(&known)) {
        let message = "it lets changes run by themselves with no limit of its own, so the file's \
                       defaults hold";
        let hint = "say how often and how wide: rate_limit: {max: 2, window_s: 3600}, blast_radius: \
                    {max_targets: 2, window_s: 3600}";
        found.push(warn(rule, "AUTO_WITHOUT_LIMITS", message, hint));
    }
}

fn names(rule: &PolicyRule, earlier: &[PolicyRule], found: &mut Vec<Finding>) {
    if rule.name.is_some() && earlier.iter().any(|one| one.name == rule.name) {
        let message = "another rule has the same name, so reports cannot tell them apart";
        found.push(warn(rule, "DUPLICATE_NAME", message, "give it a name of its own"));
    }
}

/// What concerns no single rule.
fn whole(file: &PolicyFile, found: &mut Vec<Finding>) {
    let mut tell = |level, code, message: &str, hint: &str| {
        let (message, hint) = (message.to_owned(), hint.to_owned());
        found.push(Finding { level, code, location: String::new(), message, hint });
    };
    if !file.ramp_eligible.is_empty() {
        let message = "ramp_eligible has no effect: nothing outgrows an approval";
        tell(Level::Warn, "NO_EFFECT", message, "delete the key");
    }
    if file.options.known_targets.as_ref().is_some_and(Vec::is_empty) {
        let message = "known_targets is empty, so every action on a named target is denied";
        tell(Level::Deny, "NOTHING_IS_KNOWN", message, "name the targets, or delete the key");
    }
    if file.rules.iter().all(|rule| rule.mode != Mode::Enforce) && !file.rules.is_empty() {
        let message = "no rule is enforced, so the defaults decide everything";
        tell(Level::Warn, "NOTHING_ENFORCED", message, "set mode: enforce on what is to hold");
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::file;
    use super::*;

    fn codes(text: &str) -> Vec<(&'static str, Level)> {
        lint(&file(text)).into_iter().map(|found| (found.code, found.level)).collect()
    }

    use Level::{Deny, Warn};

    #[test]
    fn each_check_finds_its_mistake_and_nothing_else() {
        let limits = "rate_limit: {max: 1}";
        for (rules, expected) in [
            (
                "[{kind: deploy_service, tier: forbidden}, {kind: 'deploy_*', tier: approval_required}]",
                vec![],
            ),
            (
                "[{kind: 'deploy_*', tier: approval_required}, {kind: deploy_service, tier: forbidden}]",
                vec![("SHADOWED_AND_STRICTER", Deny)],
            ),
            (
                "[{kind: 'deploy_*', tier: forbidden}, {kind: deploy_service, tier: approval_required}]",
                vec![("SHADOWED", Warn)],
            ),
            // One that is not enforced hides nothing, and is hidden by nothing that is narrower.
            ("[{tier: forbidden, mode: warn}, {kind: deploy_service, tier: forbidden}]", vec![]),
            ("[{domain: a, tier: forbidden}, {domain: b, tier: forbidden}]", vec![]),
            (
                "[{tier: forbidden}, {kind: observe, tier: auto}, {kind: notify, tier: auto}]",
                vec![("CATCH_ALL_FIRST", Deny)],
            ),
            ("[{target: 'a[', tier: forbidden}]", vec![("BAD_GLOB", Deny)]),
            ("[{kind: deplyo_service, tier: forbidden}]", vec![("UNKNOWN_KIND", Warn)]),
            ("[{kind: observe, tier: auto, fields: [mount]}]", vec![("UNKNOWN_FIELD", Deny)]),
            ("[{tier: forbidden, fields: [mounts]}]", vec![("NO_EFFECT", Warn)]),
            ("[{tier: forbidden, maintenance_window: '01:00-02:00'}]", vec![("NO_EFFECT", Warn)]),
            ("[{tier: approval_required, maintenance_window: '01:00-02:00'}]", vec![]),
            ("[{tier: approval_required, rate_limit: {max: 1}}]", vec![("NO_EFFECT", Warn)]),
            ("[{kind: restart_service, tier: auto}]", vec![("AUTO_WITHOUT_LIMITS", Warn)]),
            ("[{kind: run_playbook, tier: auto}, {kind: observe, tier: auto}]", vec![]),
            ("[{kind: observe, tier: auto, priority: 3}]", vec![("PRIORITY_IN_FILE", Warn)]),
            ("[{kind: observe, tier: auto, mode: off}]", vec![("NOTHING_ENFORCED", Warn)]),
            ("[]", vec![]),
        ] {
            assert_eq!(codes(&format!("rules: {rules}")), expected, "{rules}");
        }
        let named = format!(
            "rules: [{{name: x, kind: restart_service, tier: auto, {limits}}}, \
             {{name: x, kind: stop_service, tier: auto, {limits}}}]"
        );
        assert_eq!(codes(&named), [("DUPLICATE_NAME", Warn)]);
        assert_eq!(codes("ramp_eligible: ['*']\nrules: []"), [("NO_EFFECT", Warn)]);
        let none = "options: {known_targets: []}\nrules: []";
        assert_eq!(codes(none), [("NOTHING_IS_KNOWN", Deny)]);
        let mut broken =
            file("rules: [{tier: approval_required, maintenance_window: '01:00-02:00'}]");
        broken.rules[0].maintenance_window = Some(skep_crds::policy::MaintenanceWindow::NEVER);
        let found = lint(&broken).remove(0);
        assert_eq!((found.code, found.level), ("WINDOW_NEVER_OPENS", Deny));
        assert_eq!(found.location, "policy.yml:1:9");
    }
}
