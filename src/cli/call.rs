//! What all commands that run something share: where settings come from, where results go, how much is said.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ArgMatches;
use crate::Device;
use crate::config::{Layered, Settings, to_toml};
use crate::run_folder::RunFolder;
use serde::Serialize;

#[derive(clap::Args)]
pub struct Call {
    /// Settings from a TOML or JSON file; flags win.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print all settings as TOML and stop.
    #[arg(long)]
    pub print_config: bool,
    /// The folder for everything that comes out; without it, a new one under runs/.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with what the folder holds.
    #[arg(long)]
    pub resume: bool,
    /// Say nothing but errors and results.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print results as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Settings with a device and a folder.
pub struct Place<T> {
    pub config: T,
    pub device: Device,
    pub folder: RunFolder,
}

impl Call {
    /// Settings from flags and file; nothing if they were only to be printed.
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

    /// The folder, new or to be gone on with, and the device. `name` is for a folder that is not named; `wish` is the
    /// device of the settings.
    pub fn place<T: Settings>(
        &self,
        layered: Layered<T>,
        name: &str,
        wish: fn(&T) -> &str,
    ) -> anyhow::Result<Place<T>> {
        let root = self.root(name);
        if self.resume && root.join("config.toml").exists() {
            let folder = RunFolder::open(&root)?;
            let config = layered
                .agree_with(&folder.config()?, &["device"])
                .with_context(|| {
                    format!(
                        "{} was begun with other settings; leave them out to go on, or choose another `--out`",
                        root.display()
                    )
                })?;
            layered.check_read(&config)?;
            let device = self.device(wish(&config))?;
            return Ok(Place {
                config,
                device,
                folder,
            });
        }
        layered.check_read(&layered.config)?;
        let config = layered.config;
        let device = self.device(wish(&config))?;
        let text = to_toml(&config, Some(&device.to_string()))?;
        let folder = RunFolder::create(&root, &text)?;
        Ok(Place {
            config,
            device,
            folder,
        })
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

    /// The device of a wish, with a line about the choice.
    pub fn device(&self, wish: &str) -> anyhow::Result<Device> {
        if wish != "auto" {
            return Ok(Device::select(wish)?);
        }
        let selection = Device::auto_explained()?;
        self.say(&selection.reason);
        Ok(selection.device)
    }

    /// A line for people.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Results: JSON, or a text.
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

/// From now on Ctrl-C (or a termination signal) asks for a stop, and a second one ends the program at once.
pub fn catch_stops() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    })
    .context("the handler of Ctrl-C cannot be set")
}

/// Whether a stop was asked for.
pub fn stop_asked() -> bool {
    STOP.load(Ordering::SeqCst)
}
