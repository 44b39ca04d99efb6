//! Files of this machine: whatever happens to them, nothing is removed, the reason is told, and the
//! next good version counts.

use std::os::unix::fs::symlink;

use jiff::SignedDuration;

use crate::world::{World, services, waiting};

/// So many that three objects a day may go without a person.
const MANY: usize = 17;

const STACKS: &str = "stacks:
- {name: web, files: [web.yml], prune: true, variables: {files: [web.env]}}
- {name: other, files: [other.yml], prune: true}
";

/// Everything declared runs and is on record.
async fn running() -> World {
    let mut world = World::new();
    world.write("stacks.yml", STACKS);
    world.write("web.yml", &services(0..MANY));
    world.write("web.env", "TAG=1\n");
    world.write("other.yml", "services:\n  one: {image: 'o:1'}\n");
    world.connectors(&["mcp"]);
    world.settle().await;
    assert_eq!(world.swarm.services().len(), MANY + 2);
    assert_eq!(world.recorded().await.len(), MANY + 4, "and two networks");
    world
}

struct Fault {
    what: &'static str,
    harm: fn(&World),
    code: &'static str,
    said: &'static str,
}

fn replaced(world: &World, name: &str, by: &str) {
    std::fs::remove_file(world.path(name)).unwrap();
    symlink(by, world.path(name)).unwrap();
}

const FAULTS: &[Fault] = &[
    Fault {
        what: "the file is gone, as in an empty folder",
        harm: |world| std::fs::remove_file(world.path("web.yml")).unwrap(),
        code: "SOURCE_INVALID",
        said: "No such file",
    },
    Fault {
        what: "an empty file",
        harm: |world| world.write("web.yml", ""),
        code: "SOURCE_INVALID",
        said: "web.yml",
    },
    Fault {
        what: "nothing but a comment",
        harm: |world| world.write("web.yml", "\n# to do\n"),
        code: "SOURCE_INVALID",
        said: "web.yml",
    },
    Fault {
        what: "a page of a server",
        harm: |world| world.write("web.yml", "<html><body>502 Bad Gateway</body></html>\n"),
        code: "SOURCE_INVALID",
        said: "web.yml:1:1",
    },
    Fault {
        what: "cut off within a service",
        harm: |world| {
            let text = world.read("web.yml");
            world.write("web.yml", &text[..text.len() - 9]);
        },
        code: "SOURCE_INVALID",
        said: "web.yml",
    },
    Fault {
        what: "cut off, and valid as it is",
        harm: |world| {
            let lines: Vec<String> =
                world.read("web.yml").lines().take(4).map(str::to_owned).collect();
            world.write("web.yml", &lines.join("\n"));
        },
        code: "SOURCE_INVALID",
        said: "looks cut off",
    },
    Fault {
        what: "a disk that fails amid reading",
        harm: |world| replaced(world, "web.yml", "/proc/self/mem"),
        code: "SOURCE_INVALID",
        said: "web.yml",
    },
    Fault {
        what: "a name that leads in a circle",
        harm: |world| replaced(world, "web.yml", "web.yml"),
        code: "SOURCE_INVALID",
        said: "symbolic links",
    },
    Fault {
        what: "a variables file that cannot be read",
        harm: |world| std::fs::remove_file(world.path("web.env")).unwrap(),
        code: "SOURCE_INVALID",
        said: "web.env",
    },
    Fault {
        what: "a variables file with a line that is none",
        harm: |world| world.write("web.env", "TAG=1\n=2\n"),
        code: "SOURCE_INVALID",
        said: "web.env:2",
    },
    Fault {
        what: "a list of stacks that is cut off",
        harm: |world| world.write("stacks.yml", "stacks:\n- {name: web, files: [web.yml]"),
        code: "SOURCE_INVALID",
        said: "stacks.yml",
    },
    Fault {
        what: "an empty list of stacks",
        harm: |world| world.write("stacks.yml", "stacks: []\n"),
        code: "ORPHAN",
        said: "because stack other is not either",
    },
    Fault {
        what: "a stack that is taken out of the list",
        harm: |world| world.write("stacks.yml", "stacks:\n- {name: other, files: [other.yml]}\n"),
        code: "ORPHAN",
        said: "because stack web is not either",
    },
    Fault {
        what: "another source that breaks while this one shrinks",
        harm: |world| {
            world.write("web.yml", &services(2..MANY));
            world.write("other.yml", "services: [\n");
        },
        code: "SOURCE_INVALID",
        said: "stack other",
    },
    Fault {
        what: "a registry that answers with a page while a stack shrinks",
        harm: |world| {
            world.write("web.yml", &services(2..MANY));
            world.write("registry.yml", "<!doctype html><title>Log in</title>\n");
        },
        code: "SOURCE_INVALID",
        said: "registry.yml",
    },
    Fault {
        what: "a registry without the connector, which no stack owns",
        harm: |world| world.write("registry.yml", "services: []\n"),
        code: "ORPHAN",
        said: "nothing is removed by itself",
    },
];

#[tokio::test]
async fn whatever_happens_to_a_file_nothing_is_removed_and_the_next_good_one_counts() {
    let world = running().await;
    let good = |world: &World| {
        let _dangling = std::fs::remove_file(world.path("web.yml"));
        world.write("stacks.yml", STACKS);
        world.write("web.env", "TAG=1\n");
        world.write("other.yml", "services:\n  one: {image: 'o:1'}\n");
        world.write("registry.yml", "services:\n  - {name: mcp, image: 'x/mcp:1'}\n");
    };
    for (number, fault) in FAULTS.iter().enumerate() {
        let what = fault.what;
        let before = world.swarm.effects();
        (fault.harm)(&world);
        // Restarts, new leaders, and days that go by are no reason to believe it.
        for _ in 0..3 {
            let report = world.pass().await;
            let told = report.waiting.iter().filter(|one| one.code == fault.code);
            let is_said = told.clone().any(|one| one.reason.contains(fault.said));
            assert!(is_said, "{what}: {:#?}", report.waiting);
            assert_eq!(world.removals().await, [], "{what}");
            world.later(SignedDuration::from_hours(25));
        }
        assert_eq!(world.swarm.effects(), before, "{what}: nothing was written");
        // The next good version counts: one service gets another image.
        good(&world);
        let text = services(0..MANY)
            .replace("s00: {image: 'w:1'}", &format!("s00: {{image: 'w:{}'}}", number + 2));
        world.write("web.yml", &text);
        let report = world.pass().await;
        assert!(waiting(&report, fault.code).is_none(), "{what}: {:#?}", report.waiting);
        assert_eq!(world.swarm.effects(), before + 1, "{what}: {report:#?}");
        assert_eq!(world.recorded().await.len(), MANY + 4, "{what}");
    }
    assert_eq!(world.swarm.removals(), 0);
    // It would have been seen: two that are really dropped go by themselves.
    world.write("web.yml", &services(2..MANY));
    world.settle().await;
    assert_eq!(world.swarm.removals(), 2);
}

#[tokio::test]
async fn a_source_that_was_never_read_may_want_anything() {
    let mut world = World::new();
    world.write("stacks.yml", STACKS);
    world.write("web.yml", &services(0..MANY));
    world.write("web.env", "TAG=1\n");
    world.write("other.yml", "services: [\n");
    world.connectors(&["mcp"]);
    world.pass().await;
    world.pass().await;
    world.write("web.yml", &services(2..MANY));
    for _ in 0..2 {
        let report = world.pass().await;
        let why = waiting(&report, "SOURCE_NEVER_LOADED").unwrap();
        assert!(why.reason.contains("stack other"), "{why:?}");
        assert_eq!(world.removals().await, []);
    }
    // It is read, and wants none of it.
    world.write("other.yml", "services:\n  one: {image: 'o:1'}\n");
    world.settle().await;
    let gone: Vec<String> = world.removals().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(gone, ["web_s00", "web_s01"]);
}

#[tokio::test]
async fn a_stack_under_another_name_leaves_what_it_had() {
    let world = running().await;
    world.write("stacks.yml", &STACKS.replace("name: web", "name: shop"));
    world.settle().await;
    assert_eq!(world.removals().await, []);
    // Both run: the old ones are told, and go by hand or under their old name.
    assert_eq!(world.swarm.services().len(), 2 * MANY + 2);
    let report = world.pass().await;
    let orphans = report.waiting.iter().filter(|one| one.code == "ORPHAN").count();
    assert_eq!(orphans, MANY + 1);
}
