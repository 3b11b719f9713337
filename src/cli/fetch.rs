//! `prospr data fetch`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use crate::datasets::fetch::{Options, Progress};
use crate::datasets::{download, downloads};

#[derive(clap::Args)]
pub struct Args {
    #[arg(help = format!("Data set: {}", names().join(", ")))]
    name: String,
    /// Folder to unpack the data set in.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Base address to download from instead of the published one; the checksums stay the same.
    #[arg(long)]
    url: Option<String>,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

fn names() -> Vec<&'static str> {
    downloads().map(|download| download.name).collect()
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let download = download(&args.name)?;
    let options = Options { url: args.url.clone(), ..Options::default() };
    let mut view = View::new(args.quiet);
    download.fetch(&args.data_dir, &options, &mut |progress| view.show(progress))?;
    view.line(&format!("{} is in {}", args.name, args.data_dir.display()));
    Ok(ExitCode::SUCCESS)
}

/// Progress display: a bar on a terminal, otherwise lines of text.
struct View {
    bar: ProgressBar,
    quiet: bool,
}

impl View {
    fn new(quiet: bool) -> View {
        let bar = if std::io::stderr().is_terminal() && !quiet {
            ProgressBar::no_length()
        } else {
            ProgressBar::hidden()
        };
        let template = "{prefix} {bar:20} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        View { bar, quiet }
    }

    /// Prints a line above the bar, unless quiet.
    fn line(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    /// Shows the progress of a download.
    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Downloading { file, done, total } => {
                if let Some(total) = total {
                    self.bar.set_length(total);
                }
                if self.bar.prefix() != file {
                    self.line(&format!("{file}: downloading"));
                    self.bar.set_prefix(file.to_string());
                    self.bar.reset();
                    // Bytes from an earlier call do not count for the speed.
                    self.bar.set_position(done);
                    self.bar.reset_eta();
                }
                self.bar.set_position(done);
            }
            Progress::Retrying { file, reason } => {
                self.line(&format!("{file}: {reason}; trying again"))
            }
            Progress::Unpacking { file } => {
                self.bar.set_prefix(String::new());
                self.line(&format!("{file}: complete, unpacking"));
            }
            Progress::Present { file } => self.line(&format!("{file}: already unpacked")),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
