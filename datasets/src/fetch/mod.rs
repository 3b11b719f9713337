//! Downloads of published data sets, which are compared with checksums and unpacked.
//!
//! The checksums are MD5, as publishers and torchvision (`torchvision/datasets/`) give them: they detect damage, but
//! not an attacker who can forge MD5.

mod attempt;
mod checksum;
mod download;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use download::Patience;

use crate::{Error, Result};
use checksum::md5_of;
use unpack::Limits;

/// Progress of a download, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A file is being downloaded.
    Downloading {
        /// The file.
        file: &'a str,
        /// Number of bytes received, including those of earlier calls.
        done: u64,
        /// Size of the file in bytes, if the server announces it.
        total: Option<u64>,
    },
    /// The connection broke; the download continues after a pause.
    Retrying {
        /// The file.
        file: &'a str,
        /// Cause of the interruption.
        reason: &'a str,
    },
    /// A complete file is being unpacked.
    Unpacking {
        /// The file.
        file: &'a str,
    },
    /// The file has been unpacked already.
    Present {
        /// The file.
        file: &'a str,
    },
}

/// Settings of a download.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Base address to use instead of the published one.
    pub url: Option<String>,
    /// Timeouts and retries.
    pub patience: Patience,
}

/// A published form of a data set.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// Name on the command line.
    pub name: &'static str,
    /// Base address of its files.
    pub url: &'static str,
    /// Its files.
    pub archives: &'static [Archive],
}

/// A published file: an archive (`.tar.gz`, `.zip`) or a compressed file (`.gz`).
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    /// File name.
    pub file: &'static str,
    /// MD5 checksum in hexadecimal digits.
    pub md5: &'static str,
    /// Folder or file that it unpacks to.
    pub unpacked: &'static str,
}

impl Download {
    /// Downloads and unpacks the files that the folder lacks. An interrupted download resumes where it
    /// stopped, in this call
    /// and in later ones. The archives stay in the folder and may be deleted.
    ///
    /// # Errors
    /// [`Error::Download`], [`Error::Checksum`], [`Error::Archive`], [`Error::InTheWay`] or [`Error::Io`], with the
    /// file's name.
    pub fn fetch(
        &self,
        folder: &Path,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let base = options.url.as_deref().unwrap_or(self.url);
        for archive in self.archives {
            archive.fetch(folder, base, &options.patience, progress)?;
        }
        Ok(())
    }
}

/// List of the unpacked files, stored next to them: a later call uses it to check that all of them are present.
#[derive(Serialize, Deserialize)]
struct Manifest {
    archive: String,
    md5: String,
    /// Size of each file by its path.
    files: BTreeMap<String, u64>,
}

impl Archive {
    /// An archive, its MD5, and the folder or file that it unpacks to.
    pub const fn new(file: &'static str, md5: &'static str, unpacked: &'static str) -> Archive {
        Archive { file, md5, unpacked }
    }

    /// Returns an error if a folder holds the archive with a wrong checksum. Single compressed files (`.gz`) are not
    /// checked here, because they are read as data.
    pub(crate) fn damage(&self, folder: &Path) -> Option<Error> {
        let path = folder.join(self.file);
        let many = self.file.ends_with(".zip") || self.file.ends_with(".tar.gz");
        if !many || !path.is_file() {
            return None;
        }
        match md5_of(&path) {
            Ok(found) if found == self.md5 => None,
            Ok(found) => Some(Error::Format {
                name: path.display().to_string(),
                expected: format!("the MD5 {}", self.md5),
                found,
            }),
            Err(error) => Some(error),
        }
    }

    fn fetch(
        &self,
        folder: &Path,
        base: &str,
        patience: &Patience,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let file = self.file;
        if self.is_unpacked(folder)? {
            progress(Progress::Present { file });
            return Ok(());
        }
        let path = folder.join(file);
        if !path.is_file() || md5_of(&path)? != self.md5 {
            let url = format!("{}/{file}", base.trim_end_matches('/'));
            download::download(&url, &path, self.md5, patience, progress)?;
        }
        progress(Progress::Unpacking { file });
        let files = unpack::unpack(&path, folder, self.unpacked, Limits::default())?;
        let manifest = Manifest { archive: file.into(), md5: self.md5.into(), files };
        let json = serde_json::to_vec_pretty(&manifest).expect("texts and numbers");
        Ok(prospr_store::write_atomically(&self.manifest(folder), &json)?)
    }

    fn manifest(&self, folder: &Path) -> std::path::PathBuf {
        folder.join(format!("{}.fetched.json", self.unpacked))
    }

    /// Returns true if every unpacked file is present with its size. An incomplete or foreign folder is an error and
    /// stays untouched.
    fn is_unpacked(&self, folder: &Path) -> Result<bool> {
        let target = folder.join(self.unpacked);
        if !target.exists() {
            return Ok(false);
        }
        let in_the_way = |reason: String| Error::InTheWay { path: target.clone(), reason };
        let manifest = std::fs::read(self.manifest(folder)).ok();
        let manifest = manifest.and_then(|json| serde_json::from_slice::<Manifest>(&json).ok());
        let manifest = manifest
            .filter(|manifest| manifest.md5 == self.md5)
            .ok_or_else(|| in_the_way(format!("it was not unpacked from {} here", self.file)))?;
        for (path, &size) in &manifest.files {
            let found = std::fs::metadata(folder.join(path)).ok().map(|m| m.len());
            if found != Some(size) {
                let found = found.map_or("none".into(), |n| format!("{n} bytes"));
                return Err(in_the_way(format!("expected {path} of {size} bytes, found {found}")));
            }
        }
        Ok(true)
    }
}
