//! Documents: links and named source files exist, and the book has every page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All files below a folder, without build outputs and hidden folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_file() {
            found.push(path);
        } else if !name.starts_with('.') && !["target", "runs"].contains(&&*name) {
            found.extend(files(&path));
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .canonicalize()
        .unwrap()
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "md")
}

/// The README, its neighbours, and all pages of `docs/`.
fn pages() -> Vec<PathBuf> {
    let named = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let docs = files(&root().join("docs"));
    named
        .into_iter()
        .chain(docs.into_iter().filter(|path| is_markdown(path)))
        .collect()
}

fn text(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap()
}

/// Targets of a page's relative links.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = text(page);
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .map(|target| page.parent().unwrap().join(target))
        .collect()
}

#[test]
fn links_lead_to_files() {
    let docs = root().join("docs");
    for page in pages() {
        for link in links(&page) {
            assert!(link.exists(), "{}: {}", page.display(), link.display());
            // The book is made of `docs/` alone.
            let stays = !page.starts_with(&docs) || link.canonicalize().unwrap().starts_with(&docs);
            assert!(stays, "{} leaves docs/: {}", page.display(), link.display());
        }
    }
}

#[test]
fn the_book_has_every_page() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let mut chapters: BTreeSet<PathBuf> = links(&summary).into_iter().collect();
    chapters.insert(summary);
    let pages = pages().into_iter().filter(|page| page.starts_with(&docs));
    assert_eq!(chapters, pages.collect());
}

#[test]
fn named_source_files_exist() {
    let known = files(&root());
    for page in pages() {
        let text = text(&page);
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c));
            let is_source = [".rs", ".wgsl", ".py", ".sh"]
                .iter()
                .any(|end| name.ends_with(end));
            let exists = known.iter().any(|path| path.ends_with(name));
            assert!(
                !is_path || !is_source || exists,
                "{}: {name}",
                page.display()
            );
        }
    }
}
