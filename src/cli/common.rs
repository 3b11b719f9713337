//! Arguments and output that several commands share: settings, folder, device, verbosity.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;

use crate::Device;
use crate::config::{Layered, Settings, to_toml};
use crate::run_folder::RunFolder;

#[derive(clap::Args)]
pub struct CommonArgs {
    /// Read settings from a TOML or JSON file; flags take precedence.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print all settings as TOML and exit.
    #[arg(long)]
    pub print_config: bool,
    /// Folder for all results; a new one under runs/ by default.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue the interrupted work in the folder.
    #[arg(long)]
    pub resume: bool,
    /// Print nothing but errors and results.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print results as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Settings with their device and their run folder.
pub struct Prepared<T> {
    pub config: T,
    pub device: Device,
    pub folder: RunFolder,
}

impl CommonArgs {
    /// Merges flags and file; `None` if `--print-config` has printed them.
    pub fn settings<T: Settings>(
        &self,
        matches: &ArgMatches,
    ) -> anyhow::Result<Option<Layered<T>>> {
        let layered = Layered::load(matches, self.config.as_deref())?;
        if self.print_config {
            print!("{}", to_toml(&layered.config, None)?);
            return Ok(None);
        }
        Ok(Some(layered))
    }

    /// Opens the run folder, a new one or with `--resume` an existing one, and selects the device. `name` is
    /// the name of
    /// the folder if `--out` is missing; `choice` reads the device from the settings.
    pub fn prepare<T: Settings>(
        &self,
        layered: Layered<T>,
        name: &str,
        choice: fn(&T) -> &str,
    ) -> anyhow::Result<Prepared<T>> {
        let root = self.root(name);
        if self.resume && root.join("config.toml").exists() {
            let folder = RunFolder::open(&root)?;
            let config = layered
                .agree_with(&folder.config()?, &["device"])
                .with_context(|| {
                    format!(
                        "{} was started with other settings; leave them out to continue, or choose another `--out`",
                        root.display()
                    )
                })?;
            layered.check_read(&config)?;
            let device = self.device(choice(&config))?;
            return Ok(Prepared { config, device, folder });
        }
        layered.check_read(&layered.config)?;
        let config = layered.config;
        let device = self.device(choice(&config))?;
        let text = to_toml(&config, Some(&device.to_string()))?;
        let folder = RunFolder::create(&root, &text)?;
        Ok(Prepared { config, device, folder })
    }

    fn root(&self, name: &str) -> PathBuf {
        if let Some(out) = &self.out {
            return out.clone();
        }
        let numbered = (2..).map(|n| format!("{name}-{n}"));
        let mut names = std::iter::once(name.to_string()).chain(numbered);
        let runs = Path::new("runs");
        let mut last = names.next().map(|n| runs.join(n)).expect("endless");
        if !last.exists() {
            return last;
        }
        loop {
            let next = names.next().map(|n| runs.join(n)).expect("endless");
            if !next.exists() {
                return if self.resume { last } else { next };
            }
            last = next;
        }
    }

    /// Selects a device; for `auto` prints the choice and its reason.
    pub fn device(&self, choice: &str) -> anyhow::Result<Device> {
        if choice != "auto" {
            return Ok(Device::select(choice)?);
        }
        let selection = Device::auto_explained()?;
        self.say(&selection.reason);
        Ok(selection.device)
    }

    /// Prints a line on the standard error output, unless `--quiet`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Prints results as JSON with `--json`, otherwise as text.
    pub fn show(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(value)?);
        } else {
            print!("{}", text());
        }
        Ok(())
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C (or a termination signal) request a stop. A second one ends the program at once.
pub fn catch_stops() -> anyhow::Result<()> {
    let set = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    });
    match set {
        // An earlier command of this process has set the handler.
        Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        other => other.context("the handler of Ctrl-C cannot be set"),
    }
}

/// Returns true if a stop was requested.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
