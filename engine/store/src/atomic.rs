//! Atomic file writes.

use std::io::Write;
use std::path::Path;

use prospr_engine::{Error, Result};

/// Writes a file atomically: a previous file of that name stays until the new contents are on the disk, and a partial
/// file never appears.
///
/// # Errors
/// [`Error::File`] with the system's message, such as a full disk or a missing permission.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let wrong = |e: std::io::Error| Error::File {
        path: path.display().to_string(),
        reason: format!("cannot be written: {e}"),
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // Use the permissions of a usual new file instead of those of a temporary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(wrong)?;
    file.write_all(bytes).map_err(wrong)?;
    file.as_file().sync_all().map_err(wrong)?;
    file.persist(path).map_err(|e| wrong(e.error))?;
    Ok(())
}
