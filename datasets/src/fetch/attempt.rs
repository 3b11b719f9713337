//! One HTTP request for a file, or for the rest of it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

use super::Progress;
use super::checksum::{hex, md5_of};
use crate::{Error, Result};

/// Largest file size in bytes that is accepted; every published file is smaller.
const LIMIT: u64 = 16 << 30;

/// A complete download.
pub struct Complete {
    /// MD5 of its bytes.
    pub md5: String,
    /// True if a part of it was received by an earlier request.
    pub resumed: bool,
}

/// Reason why a request did not complete the file.
pub enum Failure {
    /// A temporary failure: another attempt may succeed.
    Cut(String),
    /// A permanent failure.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Final(error)
    }
}

/// Version of a file on the server. Only the rest of the same version is appended to the received part.
#[derive(PartialEq, Serialize, Deserialize)]
struct Version {
    url: String,
    tag: Option<String>,
    length: Option<u64>,
}

/// The download of one file.
pub struct Task<'a> {
    pub url: &'a str,
    pub file: &'a str,
    /// File that collects the received bytes.
    pub part: PathBuf,
    /// File that holds the [`Version`] of these bytes.
    pub version: PathBuf,
    pub agent: Agent,
    pub progress: &'a mut dyn FnMut(Progress),
}

impl Task<'_> {
    /// Makes an error about this file.
    pub fn wrong(&self, reason: String) -> Error {
        Error::Download { file: self.file.into(), url: self.url.into(), reason }
    }

    /// Number of bytes received so far.
    pub fn length(&self) -> u64 {
        fs::metadata(&self.part).map_or(0, |m| m.len())
    }

    /// Deletes the received part and its version.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn forget(&self) -> Result<()> {
        remove(&self.part)?;
        remove(&self.version)
    }

    /// Reads the version of the received part, if there is a part of this address to resume.
    fn known(&self) -> Option<Version> {
        let json = fs::read(&self.version).ok()?;
        let version: Version = serde_json::from_slice(&json).ok()?;
        (self.length() > 0 && version.url == self.url).then_some(version)
    }

    /// Sends one request for the file, or for the rest of it, and appends the response to the received part.
    pub fn attempt(&mut self) -> Result<Complete, Failure> {
        let known = self.known();
        let start = self.length();
        if known.as_ref().is_some_and(|known| known.length == Some(start)) {
            // All bytes are here: the program was killed after it received the last one.
            let md5 = md5_of(&self.part)?;
            return Ok(Complete { md5, resumed: true });
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
            // Weak tags do not guarantee equal bytes.
            (!value.starts_with("W/")).then(|| value.to_string())
        });
        let mut version = Version { url: self.url.into(), tag, length };
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
            // The part is at least as long as the file.
            (416, Some(_)) => {
                self.forget()?;
                return Err(Failure::Cut("the server has no more bytes of it".into()));
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
        self.receive(response, resumed, &version)
    }

    /// Classifies an error without a response as temporary or permanent.
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

    /// Appends the body of a response to the received part, or replaces the part if `resumed` is false.
    fn receive(
        &mut self,
        mut response: Response<ureq::Body>,
        resumed: bool,
        version: &Version,
    ) -> Result<Complete, Failure> {
        let io = |path: &Path, source| Failure::Final(Error::io(path, source));
        let mut digest = Md5::new();
        let mut done = 0;
        if resumed {
            let mut part = File::open(&self.part).map_err(|e| io(&self.part, e))?;
            done = std::io::copy(&mut part, &mut digest).map_err(|e| io(&self.part, e))?;
        } else {
            let json = serde_json::to_vec(version).expect("texts and numbers");
            self.forget()?;
            prospr_store::write_atomically(&self.version, &json).map_err(Error::from)?;
        }
        let part = OpenOptions::new().create(true).append(true).open(&self.part);
        let mut part = part.map_err(|e| io(&self.part, e))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            (self.progress)(Progress::Downloading { file: self.file, done, total: version.length });
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::Cut(format!("cut off after {done} bytes: {e}"))),
            };
            part.write_all(&buffer[..count]).map_err(|e| io(&self.part, e))?;
            digest.update(&buffer[..count]);
            done += count as u64;
            if done > LIMIT {
                let reason = format!("expected at most {LIMIT} bytes, received more");
                return Err(Failure::Final(self.wrong(reason)));
            }
        }
        if version.length.is_some_and(|length| length != done) {
            return Err(Failure::Cut(format!("cut off after {done} bytes")));
        }
        part.sync_all().map_err(|e| io(&self.part, e))?;
        let md5 = hex(digest);
        Ok(Complete { md5, resumed })
    }
}

/// Deletes a file if it exists.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
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

/// Start and total of the header `bytes START-END/TOTAL`, whose total may be `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}
