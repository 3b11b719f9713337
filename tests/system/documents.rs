//! Links between documents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All Markdown files below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    found
}

/// Files and folders that a page links to, relative to its folder.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(page).unwrap();
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .canonicalize()
        .unwrap();
    let docs = root.join("docs");
    let mut all = pages(&docs);
    all.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root.join(name)));
    for page in &all {
        for link in links(page) {
            assert!(link.exists(), "{}: {}", page.display(), link.display());
            // The book is made of `docs/` alone.
            let stays = !page.starts_with(&docs) || link.canonicalize().unwrap().starts_with(&docs);
            assert!(stays, "{}: {}", page.display(), link.display());
        }
    }
    let summary = docs.join("SUMMARY.md");
    let mut chapters: BTreeSet<PathBuf> = links(&summary).into_iter().collect();
    chapters.insert(summary);
    assert_eq!(chapters, pages(&docs).into_iter().collect());
}
