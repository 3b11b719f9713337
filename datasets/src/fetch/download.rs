//! One file over HTTP: resumed where it was cut off, retried, and checked before it has its name.
//!
//! What has come lies in `NAME.part`, and beside it in `NAME.part.json` what the server called that version of the file
//! (its `ETag` or `Last-Modified`) and its length. A later download asks for the rest of the same version (`Range` with
//! `If-Range`) and starts again if the server has another, or ignores the question.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::Agent;

use super::Progress;
use super::attempt::{Failure, Task, Whole};
use crate::{Error, Result};

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// How long a server may be silent.
    pub timeout: Duration,
    /// The pause before the second try; it doubles with each that brings nothing.
    pub pause: Duration,
    /// How many tries in a row may bring nothing.
    pub tries: u32,
}

impl Default for Patience {
    /// 30 seconds of silence; 5 tries, after 1, 2, 4 and 8 seconds.
    fn default() -> Patience {
        Patience {
            timeout: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            tries: 5,
        }
    }
}

/// The MD5 of a file in hexadecimal digits.
///
/// # Errors
/// [`Error::Io`].
pub fn md5_of(path: &Path) -> Result<String> {
    let mut digest = Md5::new();
    let mut file = File::open(path).map_err(|source| Error::io(path, source))?;
    std::io::copy(&mut file, &mut digest).map_err(|source| Error::io(path, source))?;
    Ok(hex(digest))
}

/// Its hexadecimal digits.
pub fn hex(digest: Md5) -> String {
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Downloads a file and checks it. Under its name it is there as a whole or not at all.
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
            Ok(Whole { found, resumed }) => {
                if found == md5 {
                    fs::rename(&task.part, to).map_err(|source| Error::io(to, source))?;
                    remove(&task.version)?;
                    return Ok(());
                }
                task.forget()?;
                // The parts may be of different versions; a whole that came at once is wrong for good.
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
        // Not what was there once: a server whose parts never fit would keep us for ever.
        fruitless = if task.length() > most {
            0
        } else {
            fruitless + 1
        };
        most = most.max(task.length());
        if fruitless >= patience.tries {
            return Err(task.wrong(format!(
                "{cut}, {fruitless} times in a row; try again later, what has come is kept"
            )));
        }
        (task.progress)(Progress::Retrying {
            file: &name,
            reason: &cut,
        });
        std::thread::sleep(patience.pause * 2u32.pow(fruitless.saturating_sub(1)));
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::io(path, source)),
        _ => Ok(()),
    }
}
