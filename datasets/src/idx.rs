//! The IDX format of MNIST and its relatives (Fashion-MNIST, KMNIST), plain or gzipped.
//!
//! A file is two zero bytes, the element type (8: bytes), the number of axes, the size of each axis as a big-endian
//! u32, and the values.

use std::io::Read;
use std::path::Path;

use crate::findings::Findings;
use crate::{Augment, Error, ImageSet, InMemory, Normalization, Result, Split};

/// Parses an IDX file of bytes: its shape and its values. `name` is for messages.
///
/// # Errors
/// [`Error::Format`] if the header or the length is wrong.
pub fn parse<'a>(name: &str, bytes: &'a [u8]) -> Result<(Vec<usize>, &'a [u8])> {
    let wrong =
        |expected: String, found: String| Err(Error::Format { name: name.into(), expected, found });
    let &[zero1, zero2, kind, axes] = bytes.get(..4).unwrap_or(&[]) else {
        return wrong("an IDX header".into(), format!("a file of {} bytes", bytes.len()));
    };
    if (zero1, zero2, kind) != (0, 0, 8) {
        return wrong(
            "an IDX file of bytes (00 00 08)".into(),
            format!("{zero1:02x} {zero2:02x} {kind:02x}"),
        );
    }
    let start = 4 + 4 * usize::from(axes);
    let Some(sizes) = bytes.get(4..start) else {
        return wrong(
            format!("a header of {start} bytes"),
            format!("a file of {} bytes", bytes.len()),
        );
    };
    let shape: Vec<usize> = sizes
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let expected = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let values = &bytes[start..];
    if expected != Some(values.len()) {
        return wrong(
            format!("the {shape:?} values that its header announces"),
            format!("{} values", values.len()),
        );
    }
    Ok((shape, values))
}

/// Parses an IDX file of images and one of labels.
///
/// # Errors
/// [`Error::Format`] if a file is malformed, the counts differ, or a label is not below `classes`.
pub fn split(names: [&str; 2], files: [&[u8]; 2], classes: usize) -> Result<Split> {
    let wrong = |name: &str, expected: String, found: String| {
        Err(Error::Format { name: name.into(), expected, found })
    };
    let (image_shape, images) = parse(names[0], files[0])?;
    let (label_shape, labels) = parse(names[1], files[1])?;
    let &[count, height, width] = image_shape.as_slice() else {
        return wrong(names[0], "images with 3 axes".into(), format!("shape {image_shape:?}"));
    };
    if label_shape != [count] {
        return wrong(
            names[1],
            format!("{count} labels, one for each image"),
            format!("shape {label_shape:?}"),
        );
    }
    if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
        return wrong(names[1], format!("labels below {classes}"), format!("label {label}"));
    }
    let shape = [1, height, width];
    let memory = InMemory {
        name: names[0].into(),
        images: images.into(),
        labels: labels.iter().map(|&label| label.into()).collect(),
        shape,
    };
    Ok(Split::new(memory, shape))
}

/// Decompresses the bytes of a file if it is gzipped.
///
/// # Errors
/// [`Error::Format`] if the compressed data is damaged.
pub fn decompress(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::new();
    match flate2::read::GzDecoder::new(bytes).read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(e) => Err(Error::Format {
            name: name.into(),
            expected: "gzip data".into(),
            found: e.to_string(),
        }),
    }
}

/// Reads a data set of ten classes from a folder with the four files of MNIST, Fashion-MNIST or KMNIST
/// (`train-images-idx3-ubyte`, …), plain or with `.gz`. Problems: [`Error::Missing`], [`Error::Io`] or
/// [`Error::Format`].
pub(crate) fn folder(
    folder: &Path,
    name: &str,
    [mean, std]: [f32; 2],
    findings: &mut Findings,
) -> Option<ImageSet> {
    let mut both = |prefix: &str| -> Option<Split> {
        let images = findings.ok(read(folder, &format!("{prefix}-images-idx3-ubyte")));
        let labels = findings.ok(read(folder, &format!("{prefix}-labels-idx1-ubyte")));
        let ((image_name, images), (label_name, labels)) = (images?, labels?);
        findings.ok(split([&image_name, &label_name], [&images, &labels], 10))
    };
    let (train, test) = (both("train"), both("t10k"));
    Some(ImageSet {
        name: name.into(),
        classes: 10,
        per_pixel: false,
        train: train?,
        test: test?,
        normalization: Normalization { mean: vec![mean], std: vec![std] },
        augment: Augment::default(),
    })
}

fn read(folder: &Path, stem: &str) -> Result<(String, Vec<u8>)> {
    let names = [stem.to_string(), format!("{stem}.gz")];
    let Some(path) = names.iter().map(|n| folder.join(n)).find(|path| path.is_file()) else {
        return Err(Error::Missing { folder: folder.into(), names: names.to_vec() });
    };
    let bytes = std::fs::read(&path).map_err(|source| Error::io(&path, source))?;
    let name = path.display().to_string();
    let bytes = decompress(&name, &bytes)?;
    Ok((name, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: u8, shape: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, shape.len() as u8];
        shape.iter().for_each(|n| bytes.extend(n.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    #[test]
    fn damaged_files_are_errors_with_their_name() {
        let images = file(8, &[2, 1, 2], &[1, 2, 3, 4]);
        let labels = file(8, &[2], &[0, 9]);
        let good = split(["i", "l"], [&images, &labels], 10).unwrap();
        assert_eq!(
            (good.len(), good.shape, &*good.sample(1).unwrap().image.pixels),
            (2, [1, 1, 2], &[3u8, 4][..])
        );

        let message = |images: &[u8], labels: &[u8]| {
            let found = split(["i", "l"], [images, labels], 10);
            found.err().unwrap().to_string()
        };
        for cut in 0..images.len() {
            assert!(message(&images[..cut], &labels).starts_with("i: expected"));
        }
        assert!(message(&file(13, &[2, 1, 2], &[0; 4]), &labels).contains("00 00 0d"));
        assert!(message(&images, &file(8, &[3], &[0; 3])).starts_with("l: expected 2 labels"));
        assert!(message(&images, &file(8, &[2], &[0, 10])).contains("label 10"));
        assert!(
            message(&file(8, &[u32::MAX, u32::MAX, u32::MAX], &[]), &labels).contains("announces")
        );
        assert!(
            decompress("z", &[0x1f, 0x8b, 8, 0])
                .unwrap_err()
                .to_string()
                .starts_with("z: expected gzip")
        );
    }
}
