//! Archives as published, and malicious archives.

use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fetch::unpack::{Limits, unpack};

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns an entry of a tar archive; its path may be invalid.
fn tar_entry(path: &str, kind: tar::EntryType, contents: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    if kind.is_symlink() {
        header.set_link_name("/etc").unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar_gz(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let entries = entries.iter().map(|(path, kind, bytes)| tar_entry(path, *kind, bytes));
    let mut bytes: Vec<u8> = entries.flatten().collect();
    bytes.extend([0; 1024]);
    gz(&bytes)
}

pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*path, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const FOLDER: tar::EntryType = tar::EntryType::Directory;

/// A tar archive with the layout of CIFAR-10 and 300 kB of data.
pub fn cifar() -> Vec<u8> {
    let images: Vec<u8> = (0..300_000u32).map(|i| (u64::from(i).pow(2) >> 7) as u8).collect();
    tar_gz(&[
        ("cifar-10-batches-bin/", FOLDER, b""),
        ("cifar-10-batches-bin/data_batch_1.bin", FILE, &images),
        ("cifar-10-batches-bin/readme.html", FILE, b"<html>"),
    ])
}

fn unpacks(file: &str, content: &[u8], limits: Limits) -> std::result::Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join(file);
    std::fs::write(&path, content).unwrap();
    let result = unpack(&path, &inner, "d", limits);
    let names = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    if result.is_err() {
        assert_eq!((names(folder.path()), names(&inner)), (1, 1), "{file}");
    }
    result.map(drop).map_err(|e| e.to_string())
}

#[test]
fn malicious_archives_are_refused() {
    let limits = Limits { bytes: 1000, entries: 3 };
    let refused = |file: &str, content: &[u8], parts: &[&str]| {
        let error = unpacks(file, content, limits).unwrap_err();
        for part in [&[file], parts].concat() {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    };
    for path in ["../evil", "d/../../evil", "/evil", "evil", "d\\..\\..\\evil", ""] {
        refused("a.tar.gz", &tar_gz(&[(path, FILE, b"x")]), &[path, "does not lie in `d`"]);
        refused("a.zip", &zip(&[("d/good", b"y"), (path, b"x")]), &[path]);
    }
    for kind in
        [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo, tar::EntryType::Char]
    {
        refused("a.tar.gz", &tar_gz(&[("d/l", kind, b"")]), &["d/l", "link or a special"]);
    }
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_symlink("d/l", "/etc", options).unwrap();
    refused("a.zip", &writer.finish().unwrap().into_inner(), &["d/l", "link"]);

    let zeros = vec![0; 1001];
    refused("a.tar.gz", &tar_gz(&[("d/a", FILE, &zeros)]), &["d/a", "absurd size"]);
    refused("a.zip", &zip(&[("d/a", &zeros)]), &["d/a", "absurd size"]);
    refused("a.gz", &gz(&zeros), &["absurd size"]);
    let many: Vec<String> = (0..4).map(|i| format!("d/{i}")).collect();
    let entries: Vec<(&str, &[u8])> = many.iter().map(|path| (&path[..], &b""[..])).collect();
    refused("a.zip", &zip(&entries), &["d/3", "number of files"]);
    refused("a.tar.gz", &tar_gz(&[("d/a", FILE, b""), ("d/a", FILE, b"")]), &[]);
    refused("a.tar.gz", &tar_gz(&[]), &["d", "does not contain it"]);
    refused("a.zip", b"PK no", &["the archive"]);
}

#[test]
fn damaged_archives_leave_no_files() {
    let limits = Limits::default();
    for (file, content) in [
        ("a.tar.gz", tar_gz(&[("d/", FOLDER, b""), ("d/a", FILE, b"abcdef")])),
        ("a.zip", zip(&[("d/a", b"abcdef")])),
        ("a.gz", gz(b"abcdef")),
    ] {
        unpacks(file, &content, limits).unwrap();
        for cut in (0..content.len()).step_by(content.len() / 40 + 1) {
            let _ = unpacks(file, &content[..cut], limits);
        }
        for at in (0..content.len()).step_by(content.len() / 150 + 1) {
            let mut content = content.clone();
            content[at] ^= 0x2b;
            let _ = unpacks(file, &content, limits);
        }
    }
}
