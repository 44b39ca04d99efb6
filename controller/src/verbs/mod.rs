//! One file per verb: what it does with the parts, and how it says what came of it.

mod actions;
mod approvals;
mod audit;
mod config;
mod contain;
mod dlq;
mod freeze;
mod images;
mod moved;
mod notify;
mod object;
mod plan;
mod policy;
mod probe;
mod problem;
mod reconcile;
mod registry;
mod schema;
mod serve;
mod service;
mod shell;
mod stack;
mod store;
mod view;
mod webhooks;

use std::sync::Arc;

use skep_core::containment::ContainmentVerb;
use skep_sources::StackSource;
use skep_store::Store;

use self::contain::How;
use crate::args::{ActionsVerb, FreezeVerb, OverrideVerb, PolicyVerb, RegistryVerb};
use crate::args::{
    AuditVerb, Cli, ConfigVerb, ContainArgs, ContainVerb, DlqVerb, GlobalArgs, StackFleetVerb,
    StackVerb, Verb,
};
use crate::codes;
use crate::config::{Config, Environment, Given, table};
use crate::database::Access;
use crate::error::{Failure, Result};
use crate::output::Printer;
use crate::telemetry::{self, Telemetry, Wish};
use crate::wiring::{self, OpenStore, Wired};

/// A verb that a person waits for.
const COMMAND: Wish = Wish { service: false };

/// What every verb that reads settings is given.
pub(crate) struct Session {
    /// Where it writes to.
    pub(crate) printer: Printer,
    /// The settings in force.
    pub(crate) config: Config,
    /// The variables, for references that are read late.
    pub(crate) environment: Environment,
}

impl Session {
    /// The store; it is told when it can only be read.
    async fn open_store(&self) -> Result<Arc<dyn Store>> {
        Ok(self.open().await?.store)
    }

    /// The store with its keys.
    async fn open(&self) -> Result<OpenStore> {
        let open = wiring::open_store(&self.config, &self.environment, Access::Any).await?;
        self.tell_if_read_only(open.store.as_ref());
        Ok(open)
    }

    /// A controller for a verb that may well only look; it is told when the store can only be
    /// read.
    async fn controller(&self, only: &[String], command: &str) -> Result<Wired> {
        self.controller_with(only, command, Vec::new()).await
    }

    /// The same, which also looks at these stacks.
    async fn controller_with(
        &self,
        only: &[String],
        command: &str,
        local: Vec<StackSource>,
    ) -> Result<Wired> {
        let (config, environment) = (&self.config, &self.environment);
        let access = Access::Any;
        let wired =
            wiring::controller_with(config, environment, only, command, access, local).await?;
        self.tell_if_read_only(wired.store.as_ref());
        Ok(wired)
    }

    fn tell_if_read_only(&self, store: &dyn Store) {
        if store.is_read_only() {
            self.printer.warn(
                "the store is read-only: this shows what is on record, and nothing \
                               can be decided or changed",
            );
        }
    }
}

/// Runs the verb; gives the exit code.
pub(crate) fn run(cli: Cli) -> u8 {
    let printer = printer(&cli.global, std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()));
    match dispatch(cli, &printer) {
        Ok(code) => code,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit()
        }
    }
}

fn printer(global: &GlobalArgs, no_color: bool) -> Printer {
    Printer::new(global.output, global.color, no_color, global.quiet)
}

fn dispatch(cli: Cli, printer: &Printer) -> Result<u8> {
    let Cli { global, verb } = cli;
    match verb {
        // These read no settings, so that a broken configuration cannot stop them.
        Verb::Registry(RegistryVerb::Validate(args)) => registry::validate(printer, &args),
        Verb::Stack(StackVerb::File(verb)) => stack::run(printer, &verb),
        Verb::Policy(PolicyVerb::Test(args)) => policy::test(printer, &args),
        Verb::Policy(PolicyVerb::Lint(args)) => policy::run_lint(printer, &args),
        Verb::Schema(args) => schema::run(printer, &args),
        Verb::Completions { shell } => shell::completions(printer, shell),
        Verb::Version => shell::version(printer),
        Verb::Config(ConfigVerb::Reference { page }) => config::reference(printer, page),

        Verb::Registry(RegistryVerb::Import(args)) => {
            let session = session(&global, |given| {
                args.source.give(given);
                given.flag(table::HOST, args.host.as_ref());
            })?;
            in_runtime(&session, COMMAND, async |session, _| {
                registry::import::run(session, &args).await
            })
        }
        Verb::Config(ConfigVerb::Show { origin, fleet }) => {
            config::show(&session(&global, |given| fleet.give(given))?, origin)
        }
        Verb::Policy(PolicyVerb::Explain(args)) => {
            let session = session(&global, |given| {
                args.policy.give(given);
                args.store.give(given);
            })?;
            in_runtime(&session, COMMAND, async |session, _| policy::explain(session, &args).await)
        }
        Verb::Policy(PolicyVerb::Replay(args)) => {
            let session = session(&global, |given| args.store.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| policy::replay(session, &args).await)
        }
        Verb::Policy(PolicyVerb::Override(verb)) => {
            let session = session(&global, |given| match &verb {
                OverrideVerb::Add(args) => args.store.give(given),
                OverrideVerb::List { store, .. } | OverrideVerb::Lift { store, .. } => {
                    store.give(given);
                }
            })?;
            in_runtime(&session, COMMAND, async |session, _| freeze::overrides(session, verb).await)
        }
        Verb::Freeze(args) => {
            let session = session(&global, |given| match &args.verb {
                Some(FreezeVerb::List { store, .. }) => store.give(given),
                None => args.store.give(given),
            })?;
            in_runtime(&session, COMMAND, async |session, _| freeze::freeze(session, *args).await)
        }
        Verb::Unfreeze(args) => {
            let session = session(&global, |given| args.store.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| freeze::unfreeze(session, args).await)
        }
        Verb::Halt(args) => {
            let session = session(&global, |given| args.store.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| freeze::halt(session, args).await)
        }
        Verb::Plan(args) => {
            let session = session(&global, |given| args.fleet.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| plan::run(session, &args).await)
        }
        Verb::Stack(StackVerb::Fleet(verb)) => {
            let session = session(&global, |given| match &verb {
                StackFleetVerb::List { fleet } => fleet.give(given),
                StackFleetVerb::Diff(args) => args.fleet.give(given),
                StackFleetVerb::Sync(args) => args.fleet.give(given),
                StackFleetVerb::Previews { store } => store.give(given),
                StackFleetVerb::Preview(args) => args.store.give(given),
                StackFleetVerb::Rollback { ask, .. } => ask.fleet.give(given),
                StackFleetVerb::Import(args) => given.flag(table::HOST, args.host.as_ref()),
            })?;
            in_runtime(&session, COMMAND, async |session, _| stack::run_fleet(session, &verb).await)
        }
        Verb::Reconcile(args) => {
            if !args.once {
                return Err(Failure::usage("`skep reconcile` runs one pass and needs --once")
                    .next("skep reconcile --once, or the loop itself: skep serve"));
            }
            let session = session(&global, |given| {
                args.fleet.give(given);
                given.flag(table::MAX_ACTIONS, args.max_actions.as_ref());
                given.flag(table::RECONCILER, args.reconciler.as_ref());
            })?;
            in_runtime(&session, COMMAND, async |session, _| reconcile::run(session, &args).await)
        }
        Verb::Serve(args) => {
            let session = session(&global, |given| {
                args.fleet.give(given);
                given.listen(args.listen);
                given.flag(table::INTERVAL, args.interval.as_ref());
                given.flag(table::MAX_ACTIONS, args.max_actions.as_ref());
                given.flag(table::RECONCILER, args.reconciler.as_ref());
            })?;
            in_runtime(&session, Wish { service: true }, async |session, telemetry| {
                serve::run(session, &args, telemetry).await
            })
        }
        Verb::Images(args) => {
            let session = session(&global, |given| args.fleet.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| images::run(session, &args).await)
        }
        Verb::Approvals(verb) => {
            let session = session(&global, |given| verb.store().give(given))?;
            in_runtime(&session, COMMAND, async |session, _| approvals::run(session, verb).await)
        }
        Verb::Notify(verb) => {
            let session = session(&global, |given| {
                if let Some(store) = verb.store() {
                    store.give(given);
                }
            })?;
            in_runtime(&session, COMMAND, async |session, _| notify::run(session, verb).await)
        }
        Verb::Actions(verb) => {
            let session = session(&global, |given| match &verb {
                ActionsVerb::List { store, .. } | ActionsVerb::Show { store, .. } => {
                    store.give(given);
                }
            })?;
            in_runtime(&session, COMMAND, async |session, _| actions::run(session, verb).await)
        }
        Verb::Store(verb) => {
            let session = session(&global, |given| verb.store().give(given))?;
            in_runtime(&session, COMMAND, async |session, _| store::run(session, verb).await)
        }
        Verb::Audit(verb) => {
            let session = session(&global, |given| match &verb {
                AuditVerb::List(args) => args.store.give(given),
                AuditVerb::Verify(args) => args.store.give(given),
                AuditVerb::Export(args) => args.store.give(given),
            })?;
            in_runtime(&session, COMMAND, async |session, _| audit::run(session, verb).await)
        }
        Verb::Dlq(verb) => {
            let session = session(&global, |given| match &verb {
                DlqVerb::List(args) => args.store.give(given),
                DlqVerb::Show { store, .. } => store.give(given),
                DlqVerb::Requeue(args) => args.fleet.give(given),
                DlqVerb::Drop(args) => args.store.give(given),
            })?;
            in_runtime(&session, COMMAND, async |session, _| dlq::run(session, verb).await)
        }
        Verb::Pause(args) => contained(&global, ContainmentVerb::Pause, &args, How::default()),
        Verb::Kill(args) => {
            let how = How { confirm: args.confirm, without_store: args.without_store };
            contained(&global, ContainmentVerb::Kill, &args.what, how)
        }
        Verb::Resume(args) => contained(&global, ContainmentVerb::Resume, &args, How::default()),
        Verb::Contain(verb) => {
            let ContainVerb::List { fleet } = &verb;
            let session = session(&global, |given| fleet.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| contain::run(session, &verb).await)
        }
        Verb::Service(verb) => {
            let session = session(&global, |given| verb.fleet().give(given))?;
            in_runtime(&session, COMMAND, async |session, _| service::run(session, &verb).await)
        }
        Verb::Object(verb) => {
            let session = session(&global, |given| verb.args().ask.fleet.give(given))?;
            in_runtime(&session, COMMAND, async |session, _| object::run(session, &verb).await)
        }
    }
}

fn contained(
    global: &GlobalArgs,
    verb: ContainmentVerb,
    args: &ContainArgs,
    how: How,
) -> Result<u8> {
    let session = session(global, |given| args.fleet.give(given))?;
    in_runtime(&session, COMMAND, async |session, _| contain::order(session, verb, args, how).await)
}

fn session(global: &GlobalArgs, give: impl FnOnce(&mut Given)) -> Result<Session> {
    let mut given = Given::default();
    global.give(&mut given);
    give(&mut given);
    let environment = Environment::of_process();
    let config = Config::load(&given, &environment)?;
    let printer = printer(global, config.text(table::NO_COLOR).is_some());
    Ok(Session { printer, config, environment })
}

/// Runs a verb that waits for others, with telemetry around it.
fn in_runtime<V>(session: &Session, wish: Wish, verb: V) -> Result<u8>
where
    V: AsyncFnOnce(&Session, &Telemetry) -> Result<u8>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    let result = runtime.block_on(async {
        let telemetry = telemetry::start(&session.config, wish);
        for warning in &session.config.warnings {
            if telemetry.json {
                tracing::warn!(warning, "config.warning");
            } else {
                session.printer.warn(warning);
            }
        }
        let result = verb(session, &telemetry).await;
        telemetry.flush().await;
        result
    });
    // A blocking call that hangs must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}
