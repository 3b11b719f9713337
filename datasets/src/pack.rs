//! Packs: the bytes of many files in one file, so that a disk reads them sequentially.
//!
//! Format: 16 bytes of magic; the SHA-256 of the files' paths, sizes and modification times; the number `n` of files as
//! a little-endian u64; `n + 1` offsets as little-endian u64; the files' bytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

const MAGIC: &[u8; 16] = b"prospr pack 1\n\0\0";

/// Number of neighbouring files read in one access; 16 photographs are about 2 MB.
pub(crate) const RUN: usize = 16;

/// Number of cached runs: twice the number that is shuffled together.
const KEPT: usize = 128;

/// A pack of files, open for reading.
pub(crate) struct Pack {
    path: PathBuf,
    offsets: Vec<u64>,
    /// The runs that were read most recently, with their numbers.
    runs: Mutex<VecDeque<(usize, Arc<[u8]>)>>,
}

impl Pack {
    /// Opens the pack of the given files; writes it first if it is missing or the files have changed.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn of(path: &Path, files: &[PathBuf]) -> Result<Pack> {
        let mut print = Sha256::new();
        let mut offsets = vec![(16 + 32 + 8 + 8 * (files.len() + 1)) as u64];
        for file in files {
            let about = file.metadata().and_then(|about| Ok((about.len(), about.modified()?)));
            let (size, changed) = about.map_err(|source| Error::io(file, source))?;
            let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
            print.update(file.as_os_str().as_encoded_bytes());
            print.update(size.to_le_bytes());
            print.update(changed.as_nanos().to_le_bytes());
            offsets.push(offsets[offsets.len() - 1] + size);
        }
        let mut head = [MAGIC.as_slice(), &print.finalize()].concat();
        head.extend((files.len() as u64).to_le_bytes());
        offsets.iter().for_each(|at| head.extend(at.to_le_bytes()));
        if !is_current(path, &head, offsets[files.len()]) {
            write(path, &head, files)?;
        }
        Ok(Pack { path: path.into(), offsets, runs: Mutex::default() })
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn read(&self, index: usize) -> Result<Vec<u8>> {
        let number = index / RUN;
        let start = self.offsets[number * RUN];
        let place = |at: u64| (at - start) as usize;
        let own = place(self.offsets[index])..place(self.offsets[index + 1]);
        // One thread reads at a time: sequential reads are fastest on a disk.
        let mut runs = self.runs.lock().expect("reading does not panic");
        if let Some((_, run)) = runs.iter().find(|(known, _)| *known == number) {
            return Ok(run[own].to_vec());
        }
        let end = ((number + 1) * RUN).min(self.offsets.len() - 1);
        let mut bytes = vec![0; place(self.offsets[end])];
        File::open(&self.path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut bytes)
            })
            .map_err(|source| Error::io(&self.path, source))?;
        let file = bytes[own].to_vec();
        if runs.len() == KEPT {
            runs.pop_front();
        }
        runs.push_back((number, bytes.into()));
        Ok(file)
    }
}

fn is_current(path: &Path, head: &[u8], size: u64) -> bool {
    let mut found = vec![0; head.len()];
    let read = File::open(path).and_then(|mut file| {
        file.read_exact(&mut found)?;
        file.metadata()
    });
    read.is_ok_and(|about| about.len() == size) && found == head
}

/// Writes the pack to a temporary file and renames it, so that a pack is complete or absent.
fn write(path: &Path, head: &[u8], files: &[PathBuf]) -> Result<()> {
    let wrong = |source| Error::io(path, source);
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let mut builder = tempfile::Builder::new();
    // Use the permissions of a usual new file instead of those of a temporary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut out = BufWriter::new(builder.tempfile_in(folder).map_err(wrong)?);
    out.write_all(head).map_err(wrong)?;
    let mut sizes = head[16 + 32 + 8..].chunks_exact(8).map(|b| {
        let bytes = b.try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    });
    let mut at = sizes.next().expect("there is one offset more than files");
    for (file, end) in files.iter().zip(sizes) {
        let bytes = std::fs::read(file).map_err(|source| Error::io(file, source))?;
        if bytes.len() as u64 != end - at {
            return Err(Error::Format {
                name: file.display().to_string(),
                expected: format!("{} bytes, as before", end - at),
                found: format!("{}: it changes while it is packed", bytes.len()),
            });
        }
        out.write_all(&bytes).map_err(wrong)?;
        at = end;
    }
    let out = out.into_inner().map_err(|e| wrong(e.into_error()))?;
    out.as_file().sync_all().map_err(wrong)?;
    out.persist(path).map_err(|e| wrong(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_rewritten_when_its_files_change() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..40).map(|i| folder.path().join(i.to_string())).collect();
        let contents = |i: usize| vec![i as u8; i % 7];
        for (i, file) in files.iter().enumerate() {
            std::fs::write(file, contents(i)).unwrap();
        }
        let path = folder.path().join("cache/a.pack");
        let pack = Pack::of(&path, &files).unwrap();
        for i in [39, 0, 17, 16, 15, 38] {
            assert_eq!(pack.read(i).unwrap(), contents(i));
        }
        // An up-to-date pack is reused.
        let written = std::fs::read(&path).unwrap();
        Pack::of(&path, &files).unwrap();
        assert!(std::fs::read(&path).unwrap() == written);
        // A damaged pack, or one whose files have changed, is written again.
        std::fs::write(&path, &written[..written.len() - 1]).unwrap();
        assert_eq!(Pack::of(&path, &files).unwrap().read(39).unwrap(), contents(39));
        std::fs::write(&files[3], [9; 100]).unwrap();
        assert_eq!(Pack::of(&path, &files).unwrap().read(3).unwrap(), [9; 100]);
        let left = std::fs::read_dir(folder.path().join("cache")).unwrap();
        assert_eq!(left.count(), 1);
    }
}
