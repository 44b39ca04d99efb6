//! What one file says, made independent of the place where it lies: environment files are read,
//! paths become absolute, and external things get their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_yaml::{Location, Node, Problem, Problems};

use super::load::{Contents, Files};
use super::objects::External;
use super::paths::{below, is_absolute_on_windows, with_home};
use super::places::Places;
use super::values::Environment;
use super::variables::Variables;
use super::{Service, Stack, cluster, env_file};

/// What resolving one file needs.
pub(crate) struct Resolve<'a> {
    pub(crate) folder: &'a str,
    pub(crate) variables: &'a Variables,
    pub(crate) files: &'a dyn Files,
    pub(crate) file: &'a Arc<str>,
    pub(crate) root: &'a Node,
    pub(crate) problems: &'a mut Problems,
    pub(crate) warnings: &'a mut Problems,
    /// How much may still be read from environment files, in bytes.
    pub(crate) left: &'a mut usize,
}

/// How much the environment files of a stack may have, in bytes: a short list can name a large file
/// again and again.
pub(crate) const MOST_ENVIRONMENT: usize = 16 << 20;

impl Resolve<'_> {
    /// Resolves everything in a stack.
    pub(crate) fn stack(&mut self, stack: &mut Stack) {
        let mut places = Places::default();
        places.record(self.file, self.root);
        for (name, service) in &mut stack.services {
            self.environment(name, service, &places);
            self.mounts(name, service, &places);
        }
        for (name, network) in &mut stack.networks {
            let path = format!("networks.{name}");
            self.external(&path, name, &mut network.external, &mut network.name, &places);
            if !network.external.is {
                network.extras.0.clear();
            }
        }
        for (name, volume) in &mut stack.volumes {
            let path = format!("volumes.{name}");
            self.external(&path, name, &mut volume.external, &mut volume.name, &places);
            let said = [
                ("driver", !volume.driver.is_empty()),
                ("driver_opts", !volume.driver_opts.0.is_empty()),
                ("labels", !volume.labels.0.is_empty()),
            ];
            for (key, _) in said.iter().filter(|(_, said)| *said && volume.external.is) {
                let message =
                    format!("\"{key}\" says how a volume is made, and this one is external");
                let path = format!("{path}.{key}");
                self.refuse(&places, &path, "CONFLICTING_KEYS", message, "take one of the two out");
            }
            if !volume.external.is {
                volume.extras.0.retain(|key, _| key == cluster::KEY);
            }
            if let Some(spec) = volume.extras.0.get_mut(cluster::KEY) {
                *spec = cluster::written(spec.take());
            }
        }
        for (name, secret) in &mut stack.secrets {
            let path = format!("secrets.{name}");
            self.external(&path, name, &mut secret.external, &mut secret.name, &places);
            if secret.external.is {
                continue;
            }
            if secret.driver.is_empty() {
                secret.file = self.data(&path, &secret.file, &places);
            } else if !secret.file.is_empty() {
                let message =
                    "a secret comes from a driver or from a file, not from both".to_owned();
                let path = format!("{path}.file");
                self.refuse(&places, &path, "CONFLICTING_KEYS", message, "take one of the two out");
            }
        }
        for (name, config) in &mut stack.configs {
            let path = format!("configs.{name}");
            self.external(&path, name, &mut config.external, &mut config.name, &places);
            if !config.external.is {
                config.file = self.data(&path, &config.file, &places);
            }
        }
    }

    fn refuse(
        &mut self,
        places: &Places,
        path: &str,
        code: &'static str,
        message: String,
        hint: &str,
    ) {
        self.problems.push(places.problem(path, code, message, hint));
    }

    /// Variables from files, then those of the service; where one of them is empty or has no value,
    /// that of the same name around counts.
    fn environment(&mut self, name: &str, service: &mut Service, places: &Places) {
        let mut all = BTreeMap::new();
        let mut from_files = BTreeMap::new();
        for (index, file) in service.env_file.0.iter().enumerate() {
            let path = below(self.folder, file);
            let bytes = match self.files.read(&path) {
                Ok(bytes) => bytes,
                Err(why) => {
                    let listed = format!("services.{name}.env_file[{index}]");
                    let at = if places.has(&listed) {
                        listed
                    } else {
                        format!("services.{name}.env_file")
                    };
                    let message = format!("{} cannot be read: {why}", named(&path, &at, places));
                    let hint = "paths begin at the folder of the first stack file";
                    self.refuse(places, &at, "FILE_UNREADABLE", message, hint);
                    continue;
                }
            };
            if *self.left < bytes.len() {
                let message = "the environment files of the stack are too large".to_owned();
                let at = format!("services.{name}.env_file");
                self.refuse(places, &at, "TOO_LARGE", message, "name fewer or smaller ones");
                return;
            }
            *self.left -= bytes.len();
            match env_file::parse(&bytes, self.variables) {
                Ok(lines) => {
                    from_files.extend(lines.into_iter().map(|(key, value)| (key, Some(value))));
                }
                Err(bad) => self.problems.push(Problem {
                    location: Location {
                        file: shown(&path, name, index, places),
                        line: bad.line,
                        column: 1,
                    },
                    path: String::new(),
                    code: "BAD_ENV_FILE",
                    message: bad.message.to_owned(),
                    hint: Some("each line is NAME=value, NAME, or begins with #".to_owned()),
                }),
            }
        }
        self.fill(&mut all, from_files);
        self.fill(&mut all, std::mem::take(&mut service.environment.0));
        service.environment = Environment(all);
    }

    fn fill(
        &self,
        all: &mut BTreeMap<String, Option<String>>,
        some: BTreeMap<String, Option<String>>,
    ) {
        for (key, value) in some {
            let value = match (value.as_deref(), self.variables.get(&key)) {
                (None | Some(""), Some(around)) => Some(around.to_owned()),
                _ => value,
            };
            all.insert(key, value);
        }
    }

    fn mounts(&mut self, name: &str, service: &mut Service, places: &Places) {
        for (index, mount) in service.volumes.0.iter_mut().enumerate() {
            if mount.kind != "bind" {
                continue;
            }
            let at = format!("services.{name}.volumes[{index}]");
            if mount.source.is_empty() {
                let message = "a bind mount needs a source".to_owned();
                let problem =
                    places.problem(&at, "MISSING_KEY", message, "add `source: /path/on/the/node`");
                self.problems.push(problem);
                continue;
            }
            let home = self.variables.get("HOME");
            if mount.source.starts_with('~') && home.is_none() {
                let message = "\"~\" stands for nothing: the variable HOME has no value";
                self.warnings.push(places.problem(
                    &at,
                    "VARIABLE_UNSET",
                    message,
                    "write the whole path",
                ));
            }
            let source = with_home(&mount.source, home);
            mount.source =
                if is_absolute_on_windows(&source) { source } else { below(self.folder, &source) };
        }
    }

    /// The name of something external, in the new notation or the old one.
    fn external(
        &mut self,
        path: &str,
        key: &str,
        external: &mut External,
        name: &mut String,
        places: &Places,
    ) {
        if !external.is {
            return;
        }
        let old = std::mem::take(&mut external.name);
        let at = format!("{path}.external");
        if !old.is_empty() {
            if !name.is_empty() {
                let message =
                    "the name is given twice: by `name` and by `external.name`".to_owned();
                self.refuse(
                    places,
                    &at,
                    "CONFLICTING_KEYS",
                    message,
                    "write only `name`, and external: true",
                );
                return;
            }
            let message = "external.name is the old notation".to_owned();
            let hint = "write `external: true` and `name: NAME`";
            self.warnings.push(places.problem(&at, "DEPRECATED_KEY", message, hint));
            *name = old;
        } else if name.is_empty() {
            key.clone_into(name);
        }
    }

    /// The absolute path of the file of a secret or a config.
    fn data(&mut self, path: &str, file: &str, places: &Places) -> String {
        if file.is_empty() {
            let message = "nothing says where its content comes from".to_owned();
            let hint = "write `file: PATH`, or `external: true` if it exists already";
            self.refuse(places, path, "MISSING_KEY", message, hint);
        }
        below(self.folder, file)
    }
}

/// The path of an environment file, unless it came from a variable.
fn shown(path: &str, service: &str, index: usize, places: &Places) -> Arc<str> {
    let field = format!("services.{service}.env_file");
    let hidden = [format!("{field}[{index}]"), field].iter().any(|at| places.is_substituted(at));
    if hidden { "an environment file".into() } else { path.into() }
}

/// A file for a sentence; what came from a variable is not shown.
fn named(path: &str, at: &str, places: &Places) -> String {
    if places.is_substituted(at) { "the file".to_owned() } else { format!("the file {path}") }
}

/// The largest secret and the largest config that Swarm takes, in bytes.
const LARGEST_SECRET: usize = 500 << 10;
const LARGEST_CONFIG: usize = 1000 << 10;

/// Reads what secrets and configs hold.
pub(crate) fn contents(
    stack: &Stack,
    files: &dyn Files,
    places: &Places,
    problems: &mut Problems,
) -> Contents {
    let secrets =
        stack.secrets.iter().filter(|(_, secret)| !secret.external.is && secret.driver.is_empty());
    let secrets = secrets.map(|(name, secret)| ("secrets", name, &secret.file, LARGEST_SECRET));
    let configs = stack.configs.iter().filter(|(_, config)| !config.external.is);
    let configs = configs.map(|(name, config)| ("configs", name, &config.file, LARGEST_CONFIG));
    let mut contents = Contents::default();
    for (section, name, file, largest) in secrets.chain(configs) {
        let at = format!("{section}.{name}.file");
        let mut refuse = |code, message: String, hint: &str| {
            problems.push(places.problem(&at, code, message, hint));
        };
        match files.read(file) {
            Ok(bytes) if bytes.is_empty() => {
                let message = format!("{} is empty", named(file, &at, places));
                refuse("BAD_CONTENT", message, "Swarm takes no empty ones");
            }
            Ok(bytes) if bytes.len() >= largest => {
                let message = format!("{} has {} bytes", named(file, &at, places), bytes.len());
                refuse("BAD_CONTENT", message, &format!("Swarm takes less than {largest} bytes"));
            }
            Ok(bytes) => {
                contents.0.insert(file.clone(), bytes);
            }
            Err(why) => {
                let hint = "paths begin at the folder of the first stack file";
                let message = format!("{} cannot be read: {why}", named(file, &at, places));
                refuse("FILE_UNREADABLE", message, hint);
            }
        }
    }
    contents
}
