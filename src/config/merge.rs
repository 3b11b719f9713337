//! Settings from three layers: defaults, a file, and the command line, which wins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::RunConfig;
use crate::pruners::{Method, methods};

/// Keys of a run folder's `config.toml` that are no settings.
const FACTS: [&str; 2] = ["version", "device_name"];

/// Flat list of settings, which clap reads from flags and serde from files under the same names.
pub trait Settings: Args + Serialize + DeserializeOwned {
    /// Fills in implied values: default milestones, absolute paths.
    ///
    /// # Errors
    /// If a path is relative and the current folder no longer exists.
    fn complete(&mut self) -> std::io::Result<()>;

    /// Pruning methods that these settings choose.
    fn methods(&self) -> Vec<Method>;

    /// Default settings.
    fn defaults() -> Self {
        let matches = command::<Self>().get_matches_from(["prospr"]);
        Self::from_arg_matches(&matches).expect("every setting has a default")
    }
}

fn command<T: Args>() -> Command {
    T::augment_args(Command::new("prospr"))
}

/// Settings, and the names of those that the user gave.
#[derive(Clone, Debug)]
pub struct Layered<T> {
    /// All settings.
    pub config: T,
    /// Names of settings from the command line or the file.
    pub given: BTreeSet<String>,
    /// Names of settings from the command line, and of settings that the file changes from their default: files written by
    /// `--print-config` or a run hold all settings.
    pub deliberate: BTreeSet<String>,
}

impl<T: Settings> Layered<T> {
    /// Merges flags, a file and the defaults; flags win over the file.
    ///
    /// # Errors
    /// If the file cannot be read, has an unknown setting (the message names the nearest known one) or a value of
    /// the wrong type.
    pub fn load(matches: &ArgMatches, file: Option<&Path>) -> anyhow::Result<Layered<T>> {
        let mut values = object(&T::from_arg_matches(matches)?)?;
        let mut given: BTreeSet<String> = known::<T>()
            .into_iter()
            .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
            .collect();
        let mut deliberate = given.clone();
        if let Some(file) = file {
            let defaults = object(&T::defaults())?;
            for (name, value) in read::<T>(file)? {
                if given.insert(name.clone()) {
                    if defaults.get(&name) != Some(&value) {
                        deliberate.insert(name.clone());
                    }
                    values.insert(name, value);
                }
            }
        }
        let mut config: T = serde_json::from_value(Value::Object(values))?;
        config.complete()?;
        Ok(Layered { config, given, deliberate })
    }

    /// Checks that each pruning setting that the user gave is read by at least one method of `config`. With `--resume`,
    /// `config` is that of the existing folder.
    ///
    /// # Errors
    /// If none of the methods reads the setting; the message names the methods that do.
    pub fn check_read(&self, config: &T) -> anyhow::Result<()> {
        let chosen = config.methods();
        if chosen.is_empty() || self.deliberate.is_empty() {
            return Ok(());
        }
        let defaults = RunConfig::defaults();
        let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for method in methods() {
            let setup = defaults.common.prune.setup(method, defaults.sparsity)?;
            for setting in setup.settings {
                readers.entry(setting.name).or_default().push(method.name);
            }
        }
        for name in &self.deliberate {
            let Some(readers) = readers.get(&name[..]) else {
                continue;
            };
            let names: Vec<&str> = chosen.iter().map(|method| method.name).collect();
            anyhow::ensure!(
                names.iter().any(|name| readers.contains(name)),
                "`{name}` is a setting of {}, but the {} {}; leave `{name}` out, or choose a method that reads it",
                readers.join(", "),
                if names.len() == 1 { "pruner is" } else { "pruners are" },
                names.join(", ")
            );
        }
        Ok(())
    }

    /// Settings of an existing folder, after a check that the given ones agree with them.
    ///
    /// # Errors
    /// If a given setting differs and is not in `ignore`; the message lists all that differ.
    pub fn agree_with(&self, there: &T, ignore: &[&str]) -> anyhow::Result<T> {
        let (here, mut merged) = (object(&self.config)?, object(there)?);
        let mut differing = Vec::new();
        for name in &self.given {
            let (old, new) = (merged.get(name).cloned(), here.get(name));
            if old.as_ref() == new {
                continue;
            }
            if ignore.contains(&&name[..]) {
                merged.insert(name.clone(), new.cloned().unwrap_or_default());
            } else {
                let show = |v: Option<&Value>| v.unwrap_or(&Value::Null).to_string();
                differing.push(format!(
                    "`{name}` is {} there, {} here",
                    show(old.as_ref()),
                    show(new)
                ));
            }
        }
        anyhow::ensure!(differing.is_empty(), "{}", differing.join("; "));
        Ok(serde_json::from_value(Value::Object(merged))?)
    }
}

/// Reads settings from a file; missing ones have their default.
pub(crate) fn from_file<T: Settings>(file: &Path) -> anyhow::Result<T> {
    let matches = command::<T>().get_matches_from(["prospr"]);
    Ok(Layered::load(&matches, Some(file))?.config)
}

/// Formats settings as TOML, with the version of the program and, if known, the device.
///
/// # Errors
/// If a value has no TOML form.
pub fn to_toml(config: &impl Serialize, device_name: Option<&str>) -> anyhow::Result<String> {
    let mut values = object(config)?;
    values.retain(|_, value| !value.is_null());
    let mut text = format!("version = {:?}\n", env!("CARGO_PKG_VERSION"));
    if let Some(device) = device_name {
        text += &format!("device_name = {}\n", toml::Value::from(device));
    }
    Ok(text + &toml::to_string(&values)?)
}

pub(super) fn object(config: &impl Serialize) -> anyhow::Result<Map<String, Value>> {
    match serde_json::to_value(config)? {
        Value::Object(values) => Ok(values),
        other => anyhow::bail!("settings must be a table, found {other}"),
    }
}

fn known<T: Settings>() -> Vec<String> {
    let command = command::<T>();
    let ids = command.get_arguments().map(|arg| arg.get_id().to_string());
    ids.collect()
}

/// Gives settings under an older name, which is an alias of the flag, their present name.
fn rename<T: Settings>(values: &mut Map<String, Value>) {
    for arg in command::<T>().get_arguments() {
        for alias in arg.get_all_aliases().unwrap_or_default() {
            if let Some(value) = values.remove(&alias.replace('-', "_")) {
                values.insert(arg.get_id().to_string(), value);
            }
        }
    }
}

/// Reads the settings of a TOML or JSON file, and checks their names and types.
fn read<T: Settings>(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let at = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(at)?;
    let json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let mut values: Map<String, Value> = if json {
        serde_json::from_str(&text).with_context(at)?
    } else {
        toml::from_str(&text).with_context(at)?
    };
    FACTS.iter().for_each(|fact| drop(values.remove(*fact)));
    rename::<T>(&mut values);
    let known = known::<T>();
    let defaults = object(&T::defaults())?;
    for (name, value) in &values {
        if !known.contains(name) {
            let near = known
                .iter()
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))
                })
                .expect("there are settings");
            anyhow::bail!("{}: there is no setting `{name}`; the nearest is `{near}`", at());
        }
        let mut alone = defaults.clone();
        alone.insert(name.clone(), value.clone());
        serde_json::from_value::<T>(Value::Object(alone))
            .with_context(|| format!("{}: `{name}` cannot be {value}", at()))?;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CompareConfig;

    fn load(flags: &[&str], name: &str, text: &str) -> anyhow::Result<Layered<RunConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let matches = command::<RunConfig>().get_matches_from([&["prospr"], flags].concat());
        Layered::load(&matches, Some(&file))
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let toml = "pruner = 'random'\nlr = 1\nepochs = 7\nflip = true\nmilestones = [3]\n";
        let json = r#"{"pruner": "random", "lr": 1, "epochs": 7, "flip": true, "milestones": [3]}"#;
        for (name, text) in [("a.toml", toml), ("a.json", json)] {
            let Layered { config, given, .. } = load(&["--epochs", "3"], name, text).unwrap();
            assert_eq!((config.pruner, config.sparsity), (Method::named("random").unwrap(), 0.98));
            let train = &config.common.train;
            assert_eq!((train.lr, train.epochs, train.flip), (1.0, 3, Some(true)));
            assert_eq!(train.milestones, Some(vec![3]));
            assert_eq!(given.len(), 5);
        }
        let off = load(&["--flip=false"], "a.toml", toml).unwrap();
        assert_eq!(off.config.common.train.flip, Some(false));
    }

    #[test]
    fn older_names_are_read() {
        for (flags, text) in [
            (&["--keep-uncounted"][..], ""),
            (&[], "keep_uncounted = true"),
            (&["--sparsity-excludes-kept"], "keep_uncounted = false"),
        ] {
            let Layered { config, given, .. } = load(flags, "a.toml", text).unwrap();
            assert!(config.common.prune.sparsity_excludes_kept);
            assert_eq!(Vec::from_iter(given), ["sparsity_excludes_kept"]);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text: &str| format!("{:#}", load(&[], "a.toml", text).unwrap_err());
        let unknown = message("learning_rte = 1");
        assert!(unknown.contains("learning_rte") && unknown.contains("a.toml"), "{unknown}");
        assert!(message("sparsty = 0.5").contains("nearest is `sparsity`"));
        assert!(message("epoch = 5").contains("nearest is `epochs`"));
        let wrong = message("epochs = 'ten'");
        assert!(wrong.contains("`epochs` cannot be \"ten\""), "{wrong}");
        assert!(message("pruner = 'prosper'").contains("prospr-first-order"));
        assert!(message("epochs = ").contains("a.toml"));
    }

    #[test]
    fn settings_that_the_method_does_not_read_are_refused() {
        let check = |flags: &[&str], text: &str| {
            let settings = load(flags, "a.toml", text).unwrap();
            settings.check_read(&settings.config)
        };
        let message = |flags: &[&str], text: &str| check(flags, text).unwrap_err().to_string();
        let expected = "`perturbation` is a setting of ntk-sap, but the pruner is snip; leave `perturbation` out, or choose a method that reads it";
        assert_eq!(message(&["--pruner", "snip", "--perturbation", "3"], ""), expected);
        assert_eq!(message(&[], "pruner = 'snip'\nperturbation = 3"), expected);
        let default = "perturbation = 0.01\niterations = 5\npruner = 'force'";
        assert!(check(&[], default).is_ok());
        let flag = ["--perturbation", "0.01"];
        assert!(message(&flag, default).contains("the pruner is force"));
        let erk = message(&["--pruner", "random-erk", "--allocation", "erk"], "");
        assert!(erk.contains("setting of prospr, ") && !erk.contains("random-uniform"), "{erk}");
        assert!(message(&["--pruner", "dense", "--steps", "2"], "").contains("pruner is dense"));
        let images = message(&["--pruner", "random", "--prune-batch-size", "5"], "");
        assert!(images.contains("setting of prospr, ") && !images.contains("synflow"), "{images}");
        assert!(check(&["--pruner", "random", "--lr", "1"], "").is_ok());
        // With a mask no method runs.
        assert!(check(&["--mask", "m", "--perturbation", "3"], "").is_ok());
    }

    #[test]
    fn a_comparison_needs_one_method_that_reads_a_setting() {
        let check = |pruners: &str| {
            let flags = ["prospr", "--perturbation", "3", "--pruners", pruners];
            let matches = command::<CompareConfig>().get_matches_from(flags);
            let settings = Layered::<CompareConfig>::load(&matches, None).unwrap();
            settings.check_read(&settings.config)
        };
        assert!(check("snip,ntk-sap").is_ok());
        let error = check("snip,dense").unwrap_err().to_string();
        assert!(error.contains("of ntk-sap, but the pruners are snip, dense;"), "{error}");
    }

    #[test]
    fn what_is_written_is_read() {
        let config = load(&["--seed", "5"], "a.toml", "lr = 0.1").unwrap().config;
        let text = to_toml(&config, Some("a \"GPU\"")).unwrap();
        assert!(text.contains("milestones = [5, 7]"), "{text}");
        assert_eq!(load(&[], "b.toml", &text).unwrap().config, config);
    }

    #[test]
    fn a_folder_must_agree_with_what_is_given() {
        let there = load(&["--lr", "0.5"], "a.toml", "").unwrap().config;
        let implied = load(&["--device", "cpu"], "a.toml", "").unwrap();
        let merged = implied.agree_with(&there, &["device"]).unwrap();
        assert_eq!((merged.common.train.lr, &merged.common.network.device[..]), (0.5, "cpu"));
        let given = load(&["--lr", "0.25"], "a.toml", "").unwrap();
        let error = given.agree_with(&there, &[]).unwrap_err().to_string();
        assert_eq!(error, "`lr` is 0.5 there, 0.25 here");
    }
}
