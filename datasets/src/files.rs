//! Image files with one class each, and the search for them in folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prospr_engine::Key;

use crate::pack::{Pack, RUN};
use crate::{Error, ImageSource, Label, Result, Sample, decode};

/// Source of image files below a folder. Their order is fixed and mixes the classes, so that neighbours can be read
/// together and a batch still has many classes.
pub(crate) struct Files {
    root: PathBuf,
    /// Path below the root, and class, of each file.
    files: Arc<[(Box<str>, u16)]>,
    pack: Option<Pack>,
}

impl Files {
    pub fn new(root: &Path, mut files: Vec<(Box<str>, u16)>) -> Files {
        files.sort_unstable();
        let order = Key::new(0).permutation(files.len());
        Files {
            root: root.into(),
            files: order.into_iter().map(|at| files[at].clone()).collect(),
            pack: None,
        }
    }

    fn path(&self, index: usize) -> PathBuf {
        self.root.join(&*self.files[index].0)
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        match &self.pack {
            Some(pack) => pack.read(index),
            None => {
                let path = self.path(index);
                std::fs::read(&path).map_err(|source| Error::io(&path, source))
            }
        }
    }
}

impl ImageSource for Files {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn sample(&self, index: usize) -> Result<Sample<'_>> {
        Ok(self.inspect(index)?.0)
    }

    fn class(&self, index: usize) -> Result<Option<usize>> {
        Ok(Some(self.files[index].1.into()))
    }

    fn name(&self, index: usize) -> String {
        self.path(index).display().to_string()
    }

    fn inspect(&self, index: usize) -> Result<(Sample<'_>, Option<String>)> {
        let (image, remark) = decode::color(&self.name(index), &self.bytes(index)?)?;
        let label = Label::Class(self.files[index].1.into());
        Ok((Sample { image, label }, remark))
    }

    fn run_length(&self) -> usize {
        RUN
    }

    fn packed(&self, file: &Path) -> Result<Option<Arc<dyn ImageSource>>> {
        let paths: Vec<PathBuf> = (0..self.len()).map(|index| self.path(index)).collect();
        Ok(Some(Arc::new(Files {
            root: self.root.clone(),
            files: self.files.clone(),
            pack: Some(Pack::of(file, &paths)?),
        })))
    }
}

/// Returns `folder/name` if that folder exists (an unpacked archive), otherwise `folder`.
pub(crate) fn unpacked(folder: &Path, name: &str) -> PathBuf {
    let inner = folder.join(name);
    if inner.is_dir() { inner } else { folder.into() }
}

/// Sorted names of the files or folders in a folder that `keep` accepts.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn names(folder: &Path, keep: fn(&Path) -> bool) -> Result<Vec<String>> {
    let wrong = |source| Error::io(folder, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        if keep(&entry.path()) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns true if the file name has the extension of an image format.
pub(crate) fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["jpg", "jpeg", "png", "tif", "tiff"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Adds the images of a class in `root/below` to `files`.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] if the folder has no image.
pub(crate) fn add_class(
    files: &mut Vec<(Box<str>, u16)>,
    root: &Path,
    below: &str,
    class: usize,
) -> Result<()> {
    let folder = root.join(below);
    let wrong = |found: &str| Error::Format {
        name: folder.display().to_string(),
        expected: "a folder with the images of a class".into(),
        found: found.into(),
    };
    if !folder.is_dir() {
        return Err(wrong("no such folder"));
    }
    let names = names(&folder, is_image)?;
    if names.is_empty() {
        return Err(wrong("no image in it"));
    }
    let class = u16::try_from(class).map_err(|_| wrong("more than 65536 classes"))?;
    files.extend(names.into_iter().map(|name| (format!("{below}/{name}").into_boxed_str(), class)));
    Ok(())
}
