//! MD5 checksums of files.

use std::fs::File;
use std::path::Path;

use md5::{Digest, Md5};

use crate::{Error, Result};

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

/// The hexadecimal digits of a digest.
pub fn hex(digest: Md5) -> String {
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
