//! Data sets from the places where they are published: downloaded, checked, unpacked.
//!
//! The checksums are MD5, as their publishers and torchvision (`torchvision/datasets/`) give them: they guard against
//! damage, not against an attacker who can forge MD5.

mod attempt;
mod download;
mod sources;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use download::Patience;
pub use sources::{Archive, SOURCES, Source};

use crate::{Error, Result};
use unpack::Limits;

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// So many bytes of a file are there.
    Downloading {
        /// The file.
        file: &'a str,
        /// Bytes that are there.
        done: u64,
        /// Bytes that it has, if the server says so.
        total: Option<u64>,
    },
    /// The connection broke; the download goes on after a pause.
    Retrying {
        /// The file.
        file: &'a str,
        /// What happened.
        reason: &'a str,
    },
    /// A whole file is being unpacked.
    Unpacking {
        /// The file.
        file: &'a str,
    },
    /// What the file unpacks to is there already.
    Present {
        /// The file.
        file: &'a str,
    },
}

/// How to fetch.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take the files from under this address instead of the published one.
    pub url: Option<String>,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

/// The source of a name.
///
/// # Errors
/// [`Error::NotFetched`] for data that has to be got in another way, with which; [`Error::Unknown`].
pub fn source(name: &str) -> Result<&'static Source> {
    if let Some(source) = SOURCES.iter().find(|source| source.name == name) {
        return Ok(source);
    }
    if let Some((name, advice)) = sources::ELSEWHERE.iter().find(|(known, _)| *known == name) {
        return Err(Error::NotFetched { name, advice });
    }
    Err(Error::Unknown {
        name: name.into(),
        known: SOURCES.iter().map(|source| source.name).collect(),
    })
}

/// What is wrong with the archives that a folder has of a data set. (Files of one compressed file each are read as data.)
pub(crate) fn damaged_archives(name: &str, folder: &Path) -> Vec<Error> {
    let own = |source: &&Source| source.name.trim_end_matches("-python") == name;
    let archives = SOURCES
        .iter()
        .filter(own)
        .flat_map(|source| source.archives);
    let wrong = |archive: &Archive| -> Option<Error> {
        let path = folder.join(archive.file);
        let many = archive.file.ends_with(".zip") || archive.file.ends_with(".tar.gz");
        if !many || !path.is_file() {
            return None;
        }
        match download::md5_of(&path) {
            Ok(found) if found == archive.md5 => None,
            Ok(found) => Some(Error::Format {
                name: path.display().to_string(),
                expected: format!("the MD5 {}", archive.md5),
                found,
            }),
            Err(error) => Some(error),
        }
    };
    archives.filter_map(wrong).collect()
}

impl Source {
    /// Fetches what the folder lacks. Downloads that were cut off go on where they stopped, in this call and in later
    /// ones; the archives stay in the folder and may be deleted.
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

/// What was unpacked, as it stands beside it: by this, a later call knows whether all is there.
#[derive(Serialize, Deserialize)]
struct Manifest {
    archive: String,
    md5: String,
    /// Sizes by paths.
    files: BTreeMap<String, u64>,
}

impl Archive {
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
        if !path.is_file() || download::md5_of(&path)? != self.md5 {
            let url = format!("{}/{file}", base.trim_end_matches('/'));
            download::download(&url, &path, self.md5, patience, progress)?;
        }
        progress(Progress::Unpacking { file });
        let files = unpack::unpack(&path, folder, self.unpacked, Limits::default())?;
        let manifest = Manifest {
            archive: file.into(),
            md5: self.md5.into(),
            files,
        };
        let json = serde_json::to_vec_pretty(&manifest).expect("texts and numbers");
        Ok(prospr_store::write_atomically(
            &self.manifest(folder),
            &json,
        )?)
    }

    fn manifest(&self, folder: &Path) -> std::path::PathBuf {
        folder.join(format!("{}.fetched.json", self.unpacked))
    }

    /// Whether everything is there with its size. What is there in part or from elsewhere is not touched.
    fn is_unpacked(&self, folder: &Path) -> Result<bool> {
        let target = folder.join(self.unpacked);
        if !target.exists() {
            return Ok(false);
        }
        let in_the_way = |reason: String| Error::InTheWay {
            path: target.clone(),
            reason,
        };
        let manifest = std::fs::read(self.manifest(folder)).ok();
        let manifest = manifest.and_then(|json| serde_json::from_slice::<Manifest>(&json).ok());
        let manifest = manifest
            .filter(|manifest| manifest.md5 == self.md5)
            .ok_or_else(|| in_the_way(format!("it was not unpacked from {} here", self.file)))?;
        for (path, &size) in &manifest.files {
            let found = std::fs::metadata(folder.join(path)).ok().map(|m| m.len());
            if found != Some(size) {
                let found = found.map_or("none".into(), |n| format!("{n} bytes"));
                return Err(in_the_way(format!(
                    "expected {path} of {size} bytes, found {found}"
                )));
            }
        }
        Ok(true)
    }
}
