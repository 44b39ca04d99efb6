//! What must fit together across the services of a registry.

use std::collections::HashMap;

use skep_yaml::{Location, Problem, Problems, did_you_mean};

use super::{Protocol, Service};
use crate::format::Spanned;
use crate::value::Name;

/// Places that problems across services point at.
pub(super) struct Places {
    pub(super) swarm_name: Location,
    /// Ports that only one service can publish.
    pub(super) ports: Vec<((u16, Protocol), Location)>,
    pub(super) package: Option<Location>,
    pub(super) depends_on: Vec<Spanned<Name>>,
}

/// What only shows when all services are known.
pub(super) fn check(services: &[(Service, Places)], lost: bool, problems: &mut Problems) {
    let mut swarm_names: HashMap<&Name, (&Name, &Location)> = HashMap::new();
    let mut ports: HashMap<(u16, Protocol), (&Name, &Location)> = HashMap::new();
    let mut packages: HashMap<&str, (&Name, &Location)> = HashMap::new();
    let mut clash = |code, location: &Location, message: String, first: &(&Name, &Location)| {
        problems.push(Problem {
            location: location.clone(),
            path: String::new(),
            code,
            message: format!("{message} \"{}\" at {}", first.0, first.1),
            hint: None,
        });
    };
    for (service, places) in services {
        let own = &service.name;
        let place = &places.swarm_name;
        match swarm_names.get(&service.swarm_name) {
            Some(first) => {
                let name = &service.swarm_name;
                let message =
                    format!("the Swarm service of \"{own}\" would be named \"{name}\", as that of");
                clash("DUPLICATE_SWARM_NAME", place, message, first);
            }
            None => {
                swarm_names.insert(&service.swarm_name, (own, place));
            }
        }
        for (port, place) in &places.ports {
            match ports.get(port) {
                Some(first) => {
                    let message = format!("\"{own}\" publishes the port {}, as does", port.0);
                    clash("DUPLICATE_PORT", place, message, first);
                }
                None => {
                    ports.insert(*port, (own, place));
                }
            }
        }
        if let (Some(package), Some(place)) = (&service.package, &places.package) {
            match packages.get(package.as_str()) {
                Some(first) => {
                    let message =
                        format!("the package \"{package}\" has the name \"{own}\" and also");
                    clash("DUPLICATE_PACKAGE", place, message, first);
                }
                None => {
                    packages.insert(package, (own, place));
                }
            }
        }
    }
    dependencies(services, lost, problems);
}

fn dependencies(services: &[(Service, Places)], lost: bool, problems: &mut Problems) {
    let index: HashMap<&Name, usize> =
        services.iter().enumerate().map(|(at, (service, _))| (&service.name, at)).collect();
    let mut edges: Vec<Vec<(usize, &Location)>> = Vec::with_capacity(services.len());
    for (service, places) in services {
        let mut known = Vec::with_capacity(places.depends_on.len());
        for name in &places.depends_on {
            if let Some(at) = index.get(&name.value) {
                known.push((*at, &name.location));
                continue;
            }
            if lost {
                continue;
            }
            let names = services.iter().map(|(service, _)| service.name.as_str());
            problems.push(Problem {
                location: name.location.clone(),
                path: String::new(),
                code: "UNKNOWN_SERVICE",
                message: format!(
                    "\"{}\" depends on \"{}\", which no file declares",
                    service.name, name.value
                ),
                hint: did_you_mean(name.value.as_str(), names)
                    .map(|word| format!("did you mean \"{word}\"?")),
            });
        }
        edges.push(known);
    }
    if let Some((cycle, place)) = find_cycle(&edges) {
        let names: Vec<_> = cycle
            .iter()
            .filter_map(|at| services.get(*at))
            .map(|(service, _)| service.name.as_str())
            .collect();
        problems.push(Problem {
            location: place.clone(),
            path: String::new(),
            code: "DEPENDENCY_CYCLE",
            message: format!("services depend on each other in a circle: {}", names.join(" → ")),
            hint: Some("remove one of these depends_on".to_owned()),
        });
    }
}

/// One circle with the place of the edge that closes it, if there is any. Walks without
/// recursion: a chain may be as long as the registry.
fn find_cycle<'a>(edges: &[Vec<(usize, &'a Location)>]) -> Option<(Vec<usize>, &'a Location)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnPath,
        Done,
    }
    let mut seen = vec![Seen::No; edges.len()];
    for start in 0..edges.len() {
        if seen.get(start) != Some(&Seen::No) {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        if let Some(mark) = seen.get_mut(start) {
            *mark = Seen::OnPath;
        }
        while let Some((at, next)) = path.last_mut() {
            let edge = edges.get(*at).and_then(|edges| edges.get(*next)).copied();
            *next += 1;
            let Some((to, place)) = edge else {
                if let Some(mark) = seen.get_mut(*at) {
                    *mark = Seen::Done;
                }
                path.pop();
                continue;
            };
            match seen.get(to) {
                Some(Seen::OnPath) => {
                    let from = path.iter().position(|(at, _)| *at == to).unwrap_or(0);
                    let mut cycle: Vec<usize> = path.iter().skip(from).map(|(at, _)| *at).collect();
                    cycle.push(to);
                    return Some((cycle, place));
                }
                Some(Seen::No) => {
                    if let Some(mark) = seen.get_mut(to) {
                        *mark = Seen::OnPath;
                    }
                    path.push((to, 0));
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
    None
}
