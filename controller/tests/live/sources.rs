//! A source that breaks says nothing about what is wanted: its last good content stays.

use std::fs;

use crate::harness::{Fleet, wait};

#[test]
fn whatever_happens_to_the_registry_nothing_is_removed() {
    let fleet = Fleet::new("broken");
    let registry = fleet.registry(&[("a", ""), ("b", "")]);
    let good = fs::read(&registry).unwrap();
    let live = [("FLEET_ACTUATOR", "swarm"), ("FLEET_RECONCILER_INTERVAL", "1s")];
    let arguments = ["--registry", registry.to_str().unwrap()];
    let serve = fleet.serve(&arguments, &live);
    fleet.wait_for_approvals(&serve, 2);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 2);
    let writes = fleet.mutations().len();

    let cut = good.len() - 20;
    let harms: [(&str, Option<&[u8]>, &str); 5] = [
        ("deleted", None, "No such file"),
        ("emptied", Some(b""), "empty"),
        ("cut off in the middle of a line", Some(&good[..cut]), ""),
        ("a web page", Some(b"<html>502</html>"), ""),
        ("a typing error", Some(b"version: 1\nservices:\n  - nmae: x\n"), "nmae"),
    ];
    for (what, content, expected) in harms {
        match content {
            Some(content) => fs::write(&registry, content).unwrap(),
            None => fs::remove_file(&registry).unwrap(),
        }
        let status = wait(&serve, &format!("{what} in the status"), || {
            let output =
                fleet.run(&[&["service", "status", "-o", "json"][..], &arguments].concat(), &[]);
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && shown.contains("stale")).then_some(shown)
        });
        assert!(status.contains(expected), "{what}: {status}");
        // The running loop says so too, and keeps everything.
        wait(&serve, &format!("{what} in the log"), || {
            serve.log().contains("source.invalid_last_good_kept").then_some(())
        });
        let plan = fleet.plan_of_broken(&registry);
        assert_eq!(plan["summary"]["unchanged"], 2, "{what}: {plan}");
        assert!(plan["waiting"].to_string().contains("SOURCE_INVALID"), "{what}: {plan}");
        assert!(fleet.exists(&fleet.service("a")) && fleet.exists(&fleet.service("b")));
        fs::write(&registry, &good).unwrap();
        wait(&serve, "recovery", || {
            let plan = fleet.plan(&registry);
            plan["waiting"].as_array().unwrap().is_empty().then_some(())
        });
    }

    // A valid file that says less is believed; what it no longer names is kept running.
    fleet.registry(&[("a", "")]);
    let plan = wait(&serve, "the orphan", || {
        let plan = fleet.plan(&registry);
        plan["waiting"].to_string().contains("ORPHAN").then_some(plan)
    });
    assert_eq!(plan["steps"], serde_json::json!([]));
    serve.stop();
    assert!(fleet.exists(&fleet.service("b")));
    assert_eq!(fleet.mutations().len(), writes, "{:?}", fleet.mutations());
    assert_eq!(fleet.approvals("pending").len(), 0);
    fleet.finish();
}

#[test]
fn a_restart_with_a_broken_file_remembers_what_was_declared() {
    let fleet = Fleet::new("remembers");
    let registry = fleet.registry(&[("a", "")]);
    let arguments = ["reconcile", "--once", "--registry", registry.to_str().unwrap()];
    fleet.json(&arguments, &[("FLEET_ACTUATOR", "swarm")]);
    fleet.approve_all();
    fleet.json(&arguments, &[("FLEET_ACTUATOR", "swarm")]);
    assert!(fleet.exists(&fleet.service("a")));
    fs::write(&registry, "version: 1\nservices: [").unwrap();
    let plan = fleet.plan_of_broken(&registry);
    assert_eq!(plan["summary"]["unchanged"], 1, "{plan}");
    assert_eq!(plan["waiting"][0]["code"], "SOURCE_INVALID");
    fleet.finish();
}

#[test]
fn a_source_that_never_loaded_is_unknown_not_empty() {
    let fleet = Fleet::new("never");
    let registry = fleet.path("absent.yml");
    let plan = fleet.plan_of_broken(&registry);
    assert_eq!(plan["steps"], serde_json::json!([]));
    assert_eq!(plan["waiting"][0]["code"], "SOURCE_NEVER_LOADED");
    fleet.finish();
}
