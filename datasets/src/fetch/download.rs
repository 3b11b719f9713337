//! Download of one file over HTTP. It resumes after an interruption, retries, and is checked before it gets its name.
//!
//! The bytes received so far are in `NAME.part`; `NAME.part.json` has the version of the file that the server announced
//! (its `ETag` or `Last-Modified`) and its length. A later download requests the rest of the same version (`Range` with
//! `If-Range`) and starts again if the server has another version or ignores the range.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;

use super::Progress;
use super::attempt::{Complete, Failure, Task, remove};
use crate::{Error, Result};

/// Timeouts and retries of a download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// Longest time without any bytes from the server.
    pub timeout: Duration,
    /// Pause before the second attempt; it doubles after each attempt that receives nothing new.
    pub pause: Duration,
    /// Number of attempts in a row that may receive nothing new.
    pub tries: u32,
}

impl Default for Patience {
    /// 30 seconds of silence; 5 attempts, with pauses of 1, 2, 4 and 8 seconds.
    fn default() -> Patience {
        Patience { timeout: Duration::from_secs(30), pause: Duration::from_secs(1), tries: 5 }
    }
}

/// Downloads a file and checks it. Under its final name the file is complete or absent.
///
/// # Errors
/// [`Error::Download`], [`Error::Checksum`] or [`Error::Io`].
pub fn download(
    url: &str,
    to: &Path,
    md5: &str,
    patience: &Patience,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let beside = |end: &str| PathBuf::from(format!("{}{end}", to.display()));
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let mut task = Task {
        url,
        file: &name,
        part: beside(".part"),
        version: beside(".part.json"),
        agent: Agent::config_builder()
            .timeout_connect(Some(patience.timeout))
            .timeout_recv_response(Some(patience.timeout))
            .timeout_per_read(Some(patience.timeout))
            .http_status_as_error(false)
            .build()
            .new_agent(),
        progress,
    };
    let (mut fruitless, mut most) = (0, task.length());
    loop {
        let cut = match task.attempt() {
            Ok(Complete { md5: found, resumed }) => {
                if found == md5 {
                    fs::rename(&task.part, to).map_err(|source| Error::io(to, source))?;
                    remove(&task.version)?;
                    return Ok(());
                }
                task.forget()?;
                // A resumed file may mix two versions and is tried again; a file from a single response would
                // be wrong again.
                if !resumed {
                    return Err(Error::Checksum {
                        path: to.into(),
                        url: url.into(),
                        expected: md5.into(),
                        found,
                    });
                }
                "its parts do not fit together".to_string()
            }
            Err(Failure::Cut(reason)) => reason,
            Err(Failure::Final(error)) => return Err(error),
        };
        // An attempt was useful only if the part is longer than ever before. Otherwise a server whose parts never fit
        // together would keep this loop running for ever.
        fruitless = if task.length() > most { 0 } else { fruitless + 1 };
        most = most.max(task.length());
        if fruitless >= patience.tries {
            return Err(task.wrong(format!(
                "{cut}, {fruitless} times in a row; try again later, the received bytes are kept"
            )));
        }
        (task.progress)(Progress::Retrying { file: &name, reason: &cut });
        std::thread::sleep(patience.pause * 2u32.pow(fruitless.saturating_sub(1)));
    }
}
