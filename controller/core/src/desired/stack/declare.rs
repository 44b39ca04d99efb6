//! From a stack to desired services, networks, configs and secrets: final names, the line of each
//! in its file, and placeholders where a value must not be shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skep_crds::Problems;
use skep_crds::stack::Loaded;
use skep_crds::stacks::{FirstRollout, OnFailure};
use skep_crds::value::Name;

use super::{EngineStack, FileObject, Scope, stack};
use crate::action::Source;
use crate::desired::{
    DesiredObject, DesiredService, DesiredStack, External, McpEndpoint, Provenance, SecretValues,
};
use crate::identity::{ObjectKind, ServiceName};
use crate::plan::Masking;

/// What is known of a stack besides what its files say.
#[derive(Debug, Clone)]
pub struct StackAbout<'a> {
    /// Its name.
    pub name: &'a Name,
    /// The domain of all it has.
    pub domain: &'a str,
    /// Where the stack itself is declared.
    pub declared_at: Provenance,
    /// The git commit of its files and who wrote it, when they came from git.
    pub commit: Option<(&'a str, &'a str)>,
    /// Whether what is no longer declared may be removed.
    pub prune: bool,
    /// What happens when a change of it fails.
    pub on_failure: OnFailure,
    /// How a large first rollout of it is paced.
    pub rollout: FirstRollout,
}

/// What a stack declares.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredStack {
    /// The stack as a whole.
    pub stack: DesiredStack,
    /// Its services.
    pub services: Vec<DesiredService>,
    /// Its networks, configs and secrets.
    pub objects: Vec<DesiredObject>,
}

/// What a stack declares under this name. Values that must not be shown go into `secrets`.
///
/// # Errors
/// Names that are too long with that of the stack before them.
pub fn declare(
    about: &StackAbout<'_>,
    loaded: &Loaded,
    masking: &Masking,
    secrets: &mut SecretValues,
) -> Result<DeclaredStack, Problems> {
    let asked = stack(about.name, loaded)?;
    let scope = Scope { name: about.name.as_str(), stack: &loaded.stack };
    let place = |path: &str| {
        // Nobody writes the default network down; it is there for the services.
        let written = if loaded.places.of(path).line == 0 { "services" } else { path };
        let location = loaded.places.of(written);
        Provenance {
            source: Source::Gitops,
            file: location.file.to_string(),
            line: location.line,
            column: location.column,
            commit: about.commit.map(|(commit, _)| commit.to_owned()),
            author: about.commit.map(|(_, author)| author.to_owned()),
        }
    };
    let declaring = Declaring { about, loaded, scope: &scope, place: &place };
    let externals = declaring.externals(&asked);
    let EngineStack { networks, secrets: own_secrets, configs, services, .. } = asked;
    let services: Vec<DesiredService> = services
        .into_iter()
        .map(|(key, spec)| declaring.service(&key, spec, masking, secrets))
        .collect();
    let mut objects: Vec<DesiredObject> = networks
        .into_iter()
        .map(|network| {
            let path = format!("networks.{}", network.key);
            declaring.object(ObjectKind::Network, network.name, &path, network.request)
        })
        .collect();
    for (kind, section, files) in
        [(ObjectKind::Config, "configs", configs), (ObjectKind::Secret, "secrets", own_secrets)]
    {
        for FileObject { key, name, spec, data } in files {
            let has_data = spec.get("Driver").is_none();
            let object = declaring.object(kind, name, &format!("{section}.{key}"), spec);
            objects.push(if has_data { object.with_data(&data, masking, secrets) } else { object });
        }
    }
    let stack = DesiredStack {
        name: about.name.as_str().to_owned(),
        provenance: about.declared_at.clone(),
        domain: about.domain.to_owned(),
        prune: about.prune,
        on_failure: about.on_failure,
        rollout: about.rollout,
        after: BTreeSet::new(),
        externals,
        services: services.iter().map(|service| service.name.clone()).collect(),
        taken_at: None,
        asked_at: None,
        rewritten: None,
    };
    Ok(DeclaredStack { stack, services, objects })
}

struct Declaring<'a> {
    about: &'a StackAbout<'a>,
    loaded: &'a Loaded,
    scope: &'a Scope<'a>,
    place: &'a dyn Fn(&str) -> Provenance,
}

impl Declaring<'_> {
    fn service(
        &self,
        key: &str,
        mut spec: Value,
        masking: &Masking,
        secrets: &mut SecretValues,
    ) -> DesiredService {
        self.hide(key, &mut spec, masking, secrets);
        let named = self.loaded.stack.services.get(key);
        let final_name = |key: &str| ServiceName::new(self.scope.named(key, None));
        // Docker takes no notice of them, so a name that is no service's is no error.
        let depends_on = named
            .into_iter()
            .flat_map(|service| &service.depends_on.0)
            .filter(|other| *other != key && self.loaded.stack.services.contains_key(*other))
            .map(|other| final_name(other))
            .collect();
        DesiredService {
            name: final_name(key),
            declared_name: key.to_owned(),
            domain: self.about.domain.to_owned(),
            provenance: (self.place)(&format!("services.{key}")),
            spec: spec.into(),
            running: true,
            autoscaled: None,
            mcp: McpEndpoint::Unasked { reason: "a stack does not say that it speaks MCP" },
            depends_on,
            ignore: Vec::new(),
            blocked: None,
            unresolved: Vec::new(),
        }
    }

    /// Values that came by reference become placeholders.
    fn hide(&self, key: &str, spec: &mut Value, masking: &Masking, secrets: &mut SecretValues) {
        let env = spec.pointer_mut("/TaskTemplate/ContainerSpec/Env").and_then(Value::as_array_mut);
        for line in env.into_iter().flatten() {
            let Value::String(text) = line else { continue };
            let Some((name, value)) = text.split_once('=') else { continue };
            if !self.loaded.hidden.contains(&(key.to_owned(), name.to_owned())) {
                continue;
            }
            let reference = format!("stack:{}.{key}.{name}", self.about.name);
            let placeholder = SecretValues::placeholder(&reference, &masking.fingerprint(value));
            secrets.insert(placeholder.clone(), value.to_owned());
            *text = format!("{name}={placeholder}");
        }
    }

    fn object(&self, kind: ObjectKind, name: String, path: &str, request: Value) -> DesiredObject {
        DesiredObject {
            kind,
            name,
            stack: self.about.name.as_str().to_owned(),
            provenance: (self.place)(path),
            request,
            data: None,
        }
    }

    /// What services of the stack use and the stack does not make.
    fn externals(&self, asked: &EngineStack) -> Vec<External> {
        let own = &self.loaded.stack;
        let networks = asked
            .external_networks
            .iter()
            // Every engine has these.
            .filter(|(name, _)| super::service::takes_aliases(name))
            .map(|(name, key)| (ObjectKind::Network, name.clone(), format!("networks.{key}")));
        let used =
            |references: fn(&skep_crds::stack::Service) -> &[skep_crds::stack::FileReference]| {
                let all = own.services.values().flat_map(references);
                all.map(|reference| reference.source.as_str()).collect::<BTreeSet<_>>()
            };
        let secrets = used(|service| &service.secrets.0).into_iter().filter_map(|key| {
            let secret = own.secrets.get(key).filter(|secret| secret.external.is)?;
            let name = self.scope.named(key, Some(&secret.name));
            Some((ObjectKind::Secret, name, format!("secrets.{key}")))
        });
        let specs = own.services.values().map(|service| service.credential_spec.config.as_str());
        let configs = used(|service| &service.configs.0)
            .into_iter()
            .chain(specs.filter(|key| !key.is_empty()))
            .filter_map(|key| {
                let config = own.configs.get(key).filter(|config| config.external.is)?;
                let name = self.scope.named(key, Some(&config.name));
                Some((ObjectKind::Config, name, format!("configs.{key}")))
            });
        // Two names in the file may stand for one object.
        let all: BTreeMap<(ObjectKind, String), String> =
            networks.chain(secrets).chain(configs).map(|(k, name, at)| ((k, name), at)).collect();
        all.into_iter()
            .map(|((kind, name), path)| External { kind, name, provenance: (self.place)(&path) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use skep_crds::stack::{Files, Source as File, Variables, load};

    use super::*;

    struct Memory;

    impl Files for Memory {
        fn read(&self, path: &str) -> Result<Vec<u8>, String> {
            Ok(format!("content of {path}").into_bytes())
        }
    }

    fn declared(text: &str) -> (DeclaredStack, SecretValues) {
        let mut variables = Variables::default();
        variables.set_hidden("PASSWORD", "canary");
        let file = File { name: "web.yml".into(), bytes: text.as_bytes().to_vec() };
        let loaded = load(&[file], "/srv", &variables, &Memory)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let name = Name::parse("shop").unwrap();
        let about = StackAbout {
            name: &name,
            domain: "finance",
            declared_at: Provenance {
                source: Source::Gitops,
                file: "stacks.yml".to_owned(),
                line: 2,
                column: 5,
                commit: None,
                author: None,
            },
            commit: Some(("c0ffee", "Ada <ada@example.com>")),
            prune: true,
            on_failure: OnFailure::Stop,
            rollout: FirstRollout::Staged,
        };
        let mut secrets = SecretValues::default();
        let declared = declare(&about, &loaded, &Masking::new(b"key".to_vec()), &mut secrets)
            .unwrap_or_else(|problems| panic!("{problems}"));
        (declared, secrets)
    }

    const TEXT: &str = "services:
  web:
    image: a:1
    depends_on: [db, nobody, web]
    environment: {URL: \"pg://u:${PASSWORD}@db\", PLAIN: x}
    networks: [own, out, host]
    secrets: [s, t]
  db: {image: b:1}
networks: {own: , out: {external: true, name: there}, host: {external: true}}
secrets:
  s: {file: a}
  t: {external: true}
  unused: {external: true}
configs: {c: {file: b}}
";

    #[test]
    fn everything_has_its_final_name_and_its_line() {
        let (declared, _) = declared(TEXT);
        let web = &declared.services[1];
        assert_eq!(web.name.as_str(), "shop_web");
        assert_eq!(web.depends_on, [ServiceName::new("shop_db")]);
        assert_eq!((web.provenance.line, web.provenance.commit.as_deref()), (2, Some("c0ffee")));
        assert_eq!(web.provenance.source, Source::Gitops);
        assert_eq!(web.provenance.author.as_deref(), Some("Ada <ada@example.com>"));
        let objects: Vec<_> = declared
            .objects
            .iter()
            .map(|one| (one.kind.as_str(), one.name.as_str(), one.provenance.line))
            .collect();
        assert_eq!(
            objects,
            [
                ("network", "shop_default", 9),
                ("network", "shop_own", 9),
                ("config", "shop_c", 14),
                ("secret", "shop_s", 11)
            ]
        );
        let externals: Vec<_> = declared
            .stack
            .externals
            .iter()
            .map(|one| (one.kind.as_str(), one.name.as_str(), one.provenance.line))
            .collect();
        assert_eq!(externals, [("network", "there", 9), ("secret", "t", 12)]);
        assert_eq!(declared.stack.services.len(), 2);
    }

    #[test]
    fn values_by_reference_are_placeholders_and_others_stay() {
        let (declared, secrets) = declared(TEXT);
        let spec = declared.services[1].spec.value();
        let env = spec.pointer("/TaskTemplate/ContainerSpec/Env").unwrap();
        assert_eq!(env[0], "PLAIN=x");
        assert!(!spec.to_string().contains("canary"), "{spec}");
        let placeholder = env[1].as_str().unwrap().strip_prefix("URL=").unwrap();
        assert_eq!(secrets.resolve(placeholder), Some("pg://u:canary@db"));
        assert!(!format!("{declared:?} {secrets:?}").contains("canary"));
    }
}
