//! Unpacking of untrusted archives: no path outside of the folder, no links, no excessive sizes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use crate::{Error, Result};

/// Text in error messages in place of an entry's name, for problems of the whole archive.
const WHOLE: &str = "the archive";

/// Limits on the unpacked contents of an archive.
#[derive(Clone, Copy)]
pub struct Limits {
    pub bytes: u64,
    pub entries: usize,
}

impl Default for Limits {
    /// Limits far above the largest data set: 8 GiB and a million entries.
    fn default() -> Limits {
        Limits { bytes: 8 << 30, entries: 1_000_000 }
    }
}

/// Unpacks a `.tar.gz`, `.zip` or `.gz` file, whose contents are called `name`, into a folder. Files are written to a
/// temporary folder and moved once they are complete. Returns the size of each file by its path in the folder.
///
/// # Errors
/// [`Error::Archive`] if the archive is damaged or has a forbidden entry; [`Error::Io`].
pub fn unpack(
    archive: &Path,
    folder: &Path,
    name: &str,
    limits: Limits,
) -> Result<BTreeMap<String, u64>> {
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(folder)
        .map_err(|source| Error::io(folder, source))?;
    let mut sink =
        Sink { archive, temporary: temporary.path(), name, left: limits, files: BTreeMap::new() };
    let file = File::open(archive).map_err(|source| Error::io(archive, source))?;
    let file = BufReader::new(file);
    let text = archive.to_string_lossy();
    if text.ends_with(".tar.gz") {
        sink.tar(MultiGzDecoder::new(file))?;
    } else if text.ends_with(".zip") {
        let zip = ZipArchive::new(file).map_err(|e| sink.wrong(WHOLE, e.to_string()))?;
        sink.zip(zip)?;
    } else {
        sink.file(Path::new(name), &mut MultiGzDecoder::new(file))?;
    }
    let files = sink.files;
    let (from, to) = (temporary.path().join(name), folder.join(name));
    if files.is_empty() {
        return Err(Error::Archive {
            path: archive.into(),
            entry: name.into(),
            reason: "the archive does not contain it".into(),
        });
    }
    fs::rename(from, &to).map_err(|source| Error::io(&to, source))?;
    Ok(files)
}

/// State of an unpacking: the target folder, the remaining limits, and the files written so far.
struct Sink<'a> {
    archive: &'a Path,
    temporary: &'a Path,
    name: &'a str,
    left: Limits,
    files: BTreeMap<String, u64>,
}

impl Sink<'_> {
    fn wrong(&self, entry: &str, reason: impl Into<String>) -> Error {
        Error::Archive { path: self.archive.into(), entry: entry.into(), reason: reason.into() }
    }

    fn tar(&mut self, gz: impl Read) -> Result<()> {
        let mut tar = tar::Archive::new(gz);
        let damaged = |e: std::io::Error| Error::Archive {
            path: self.archive.into(),
            entry: WHOLE.into(),
            reason: e.to_string(),
        };
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(|e| self.wrong(WHOLE, e.to_string()))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match entry.header().entry_type() {
                tar::EntryType::Directory => self.folder(&name)?,
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let path = self.path(&name)?;
                    self.file(&path, &mut entry)?;
                }
                // Metadata of the whole archive.
                tar::EntryType::XGlobalHeader => (),
                _ => return Err(self.wrong(&name, "it is a link or a special file")),
            }
        }
        Ok(())
    }

    fn zip(&mut self, mut zip: ZipArchive<BufReader<File>>) -> Result<()> {
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(|e| self.wrong(WHOLE, e.to_string()))?;
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            if entry.is_symlink() {
                return Err(self.wrong(&name, "it is a link"));
            }
            if entry.is_dir() {
                self.folder(&name)?;
            } else {
                let path = self.path(&name)?;
                self.file(&path, &mut entry)?;
            }
        }
        Ok(())
    }

    /// Path of an entry in the target folder, or an error if it would leave the archive's own folder.
    fn path(&mut self, entry: &str) -> Result<PathBuf> {
        let plain = !entry.contains(['\\', '\0']);
        let path: Option<PathBuf> = Path::new(entry)
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| matches!(part, Component::Normal(_)).then_some(part))
            .collect();
        let path = path.filter(|path| plain && path.starts_with(self.name));
        path.ok_or_else(|| {
            let reason = format!("its path does not lie in `{}`", self.name);
            self.wrong(entry, reason)
        })
    }

    fn folder(&mut self, entry: &str) -> Result<()> {
        // `tar .` stores the top folder as an entry.
        if entry.trim_end_matches('/') == "." {
            return Ok(());
        }
        let path = self.path(entry)?;
        self.count(entry)?;
        fs::create_dir_all(self.temporary.join(path)).map_err(|e| self.unwritten(entry, e))
    }

    fn unwritten(&self, entry: &str, e: std::io::Error) -> Error {
        self.wrong(entry, format!("it cannot be unpacked: {e}"))
    }

    /// Counts an entry against the limit.
    fn count(&mut self, entry: &str) -> Result<()> {
        self.left.entries =
            self.left.entries.checked_sub(1).ok_or_else(|| {
                self.wrong(entry, "the archive unpacks to an absurd number of files")
            })?;
        Ok(())
    }

    fn file(&mut self, path: &Path, contents: &mut dyn Read) -> Result<()> {
        let entry = path.to_string_lossy().replace('\\', "/");
        self.count(&entry)?;
        let to = self.temporary.join(path);
        let folder = to.parent().unwrap_or(self.temporary);
        fs::create_dir_all(folder).map_err(|e| self.unwritten(&entry, e))?;
        // A repeated entry is an error.
        let mut file = File::create_new(&to).map_err(|e| self.unwritten(&entry, e))?;
        let mut limited = contents.take(self.left.bytes + 1);
        let size = std::io::copy(&mut limited, &mut file).map_err(|e| self.unwritten(&entry, e))?;
        self.left.bytes = self
            .left
            .bytes
            .checked_sub(size)
            .ok_or_else(|| self.wrong(&entry, "the archive unpacks to an absurd size"))?;
        self.files.insert(entry, size);
        Ok(())
    }
}
