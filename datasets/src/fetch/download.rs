//! One file over HTTP: resumed where it was cut off, retried, and checked before it has its name.
//!
//! What has come lies in `NAME.part`, and beside it in `NAME.part.json` what the server called that version of the file
//! (its `ETag` or `Last-Modified`) and its length. A later download asks for the rest of the same version (`Range` with
//! `If-Range`) and starts again if the server has another, or ignores the question.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

use super::Progress;
use crate::{Error, Result};

/// No data set has a file as large as this.
const LIMIT: u64 = 16 << 30;

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

fn hex(digest: Md5) -> String {
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

/// A download that came to its end.
struct Whole {
    found: String,
    resumed: bool,
}

enum Failure {
    /// Another try may do.
    Cut(String),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Final(error)
    }
}

/// Which version of the file the part is of.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Version {
    url: String,
    tag: Option<String>,
    length: Option<u64>,
}

struct Task<'a> {
    url: &'a str,
    file: &'a str,
    part: PathBuf,
    version: PathBuf,
    agent: Agent,
    progress: &'a mut dyn FnMut(Progress),
}

impl Task<'_> {
    fn wrong(&self, reason: String) -> Error {
        Error::Download {
            file: self.file.into(),
            url: self.url.into(),
            reason,
        }
    }

    /// How much has come.
    fn length(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |m| m.len())
    }

    fn forget(&self) -> Result<()> {
        remove(&self.part)?;
        remove(&self.version)
    }

    /// The version of the part, if there is one that can be gone on with.
    fn known(&self) -> Option<Version> {
        let json = fs::read(&self.version).ok()?;
        let version: Version = serde_json::from_slice(&json).ok()?;
        (self.length() > 0 && version.url == self.url).then_some(version)
    }

    /// One request, and what comes of it.
    fn attempt(&mut self) -> Result<Whole, Failure> {
        let known = self.known();
        let start = self.length();
        if known
            .as_ref()
            .is_some_and(|known| known.length == Some(start))
        {
            // All had come, and then the program was killed.
            let found = md5_of(&self.part)?;
            return Ok(Whole {
                found,
                resumed: true,
            });
        }
        let mut request = self.agent.get(self.url);
        if let Some(known) = &known {
            request = request.header("Range", format!("bytes={start}-"));
            if let Some(tag) = &known.tag {
                request = request.header("If-Range", tag);
            }
        }
        let response = request.call().map_err(|e| self.failure(e))?;
        let (status, headers) = (response.status().as_u16(), response.headers());
        let length = number(headers, "content-length");
        let tag = ["etag", "last-modified"].iter().find_map(|&name| {
            let value = text(headers, name)?;
            // Weak tags do not promise equal bytes.
            (!value.starts_with("W/")).then(|| value.to_string())
        });
        let mut version = Version {
            url: self.url.into(),
            tag,
            length,
        };
        let resumed = match (status, known) {
            (200, _) => false,
            (206, Some(known)) => {
                let range = text(headers, "content-range").and_then(content_range);
                version.length = range.and_then(|(_, total)| total);
                if range.map(|(from, _)| from) != Some(start) || version != known {
                    self.forget()?;
                    return Err(Failure::Cut("the file changed on the server".into()));
                }
                true
            }
            // The part is as long as the file or longer.
            (416, Some(_)) => {
                self.forget()?;
                return Err(Failure::Cut("the server has no more of it".into()));
            }
            (408 | 429 | 500..=599, _) => {
                return Err(Failure::Cut(format!("the server answered {status}")));
            }
            _ => {
                return Err(Failure::Final(self.wrong(format!(
                    "expected the file, the server answered {}; check the address, or name a mirror with `--url`",
                    response.status()
                ))));
            }
        };
        if version.length.is_some_and(|length| length > LIMIT) {
            let reason = format!("expected at most {LIMIT} bytes, the server announces more");
            return Err(Failure::Final(self.wrong(reason)));
        }
        let whole = self.receive(response, resumed, &version)?;
        Ok(whole)
    }

    /// Whether another try may do after no response at all.
    fn failure(&self, error: ureq::Error) -> Failure {
        let refused =
            matches!(&error, ureq::Error::Io(e) if e.kind() == ErrorKind::ConnectionRefused);
        let hopeless = matches!(
            error,
            ureq::Error::HostNotFound
                | ureq::Error::BadUri(_)
                | ureq::Error::Http(_)
                | ureq::Error::ConnectionFailed
                | ureq::Error::TooManyRedirects
        );
        if refused || hopeless {
            return Failure::Final(self.wrong(format!(
                "{error}; check the network and the address, or name a mirror with `--url`"
            )));
        }
        Failure::Cut(error.to_string())
    }

    /// Writes what comes to the end of the part.
    fn receive(
        &mut self,
        mut response: Response<ureq::Body>,
        resumed: bool,
        version: &Version,
    ) -> Result<Whole, Failure> {
        let io = |path: &Path, source| Failure::Final(Error::io(path, source));
        let mut digest = Md5::new();
        let mut done = 0;
        if resumed {
            let mut part = File::open(&self.part).map_err(|e| io(&self.part, e))?;
            done = std::io::copy(&mut part, &mut digest).map_err(|e| io(&self.part, e))?;
        } else {
            let json = serde_json::to_vec(version).expect("texts and numbers");
            self.forget()?;
            prospr_engine::write_atomically(&self.version, &json).map_err(Error::from)?;
        }
        let part = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.part);
        let mut part = part.map_err(|e| io(&self.part, e))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            (self.progress)(Progress::Downloading {
                file: self.file,
                done,
                total: version.length,
            });
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::Cut(format!("cut off after {done} bytes: {e}"))),
            };
            part.write_all(&buffer[..count])
                .map_err(|e| io(&self.part, e))?;
            digest.update(&buffer[..count]);
            done += count as u64;
            if done > LIMIT {
                let reason = format!("expected at most {LIMIT} bytes, more came");
                return Err(Failure::Final(self.wrong(reason)));
            }
        }
        if version.length.is_some_and(|length| length != done) {
            return Err(Failure::Cut(format!("cut off after {done} bytes")));
        }
        part.sync_all().map_err(|e| io(&self.part, e))?;
        let found = hex(digest);
        Ok(Whole { found, resumed })
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::io(path, source)),
        _ => Ok(()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// Start and total of `bytes START-END/TOTAL`, whose total may be `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}
