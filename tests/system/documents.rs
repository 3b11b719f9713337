//! Documents: links and named source files exist, the book has every page, and tables of methods and settings
//! match the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Arg, Args, Command};
use prospr::config::{PruneSettings, RunConfig, Settings};
use prospr::pruners::{ReadSetting, methods};

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
    Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap()
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "md")
}

/// Returns the Markdown files of the root folder that users read, and all pages of `docs/`.
fn pages() -> Vec<PathBuf> {
    let named = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let docs = files(&root().join("docs"));
    named.into_iter().chain(docs.into_iter().filter(|path| is_markdown(path))).collect()
}

fn text(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap()
}

/// Targets of a page's relative links.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = text(page);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
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
            // The book contains only `docs/`.
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
            let is_source = [".rs", ".wgsl", ".py", ".sh"].iter().any(|end| name.ends_with(end));
            let exists = known.iter().any(|path| path.ends_with(name));
            assert!(!is_path || !is_source || exists, "{}: {name}", page.display());
        }
    }
}

/// Returns the table of pruning methods in Markdown.
fn method_table() -> String {
    let mut table = String::from("| name | method | score |\n|---|---|---|\n");
    for method in methods() {
        let score = method.score.replace('|', "\\|");
        table += &format!("| `{}` | {} | {score} |\n", method.name, method.summary);
    }
    table
}

/// Returns the table of pruning settings and the methods that read them in Markdown.
fn setting_table() -> String {
    let defaults = RunConfig::defaults();
    let setup = |method| defaults.common.prune.setup(method, defaults.sparsity);
    let read: Vec<_> = methods()
        .into_iter()
        .map(|method| (method.name, setup(method).unwrap().settings))
        .collect();
    let mut table = String::from(
        "| setting | default | meaning | read by (own default) |\n|---|---|---|---|\n",
    );
    let command = PruneSettings::augment_args(Command::new("prospr"));
    for arg in command.get_arguments() {
        let (mut readers, mut others) = (Vec::new(), Vec::new());
        for (method, settings) in &read {
            match settings.iter().find(|setting| arg.get_id() == setting.name) {
                None => others.push(format!("`{method}`")),
                Some(ReadSetting { default: None, .. }) => readers.push(format!("`{method}`")),
                Some(ReadSetting { default: Some(default), .. }) => {
                    readers.push(format!("`{method}` ({default})"));
                }
            }
        }
        let readers = match others.len() {
            0 => "all".into(),
            n if n < 6 => format!("all but {}", others.join(", ")),
            _ => readers.join(", "),
        };
        table += &format!("{} {readers} |\n", setting_cells(arg));
    }
    table
}

/// Returns the cells with flag, default and help of a setting.
fn setting_cells(arg: &Arg) -> String {
    let is_switch = arg.get_num_args().is_some_and(|n| n.min_values() == 0);
    let values = arg.get_possible_values();
    let (mut names, mut help) = (Vec::new(), format!("{}.", arg.get_help().unwrap()));
    for value in values.iter().filter(|_| !is_switch) {
        names.push(value.get_name());
        if let Some(meaning) = value.get_help() {
            help += &format!(" `{}`: {meaning}.", value.get_name());
        }
    }
    let flag = format!("--{} {}", arg.get_long().unwrap(), names.join("\\|"));
    let default = arg.get_default_values().iter().filter(|_| !is_switch);
    let default: String = default.map(|v| v.to_string_lossy()).collect();
    format!("| `{}` | {default} | {help} |", flag.trim_end())
}

/// Compares the tables in `docs/methods.md`, or writes them if the variable `PROSPR_WRITE_DOCS` is set.
#[test]
fn tables_of_methods_and_settings_match_the_code() {
    let page = root().join("docs/methods.md");
    let mut new = text(&page);
    for (name, table) in [("methods", method_table()), ("settings", setting_table())] {
        let mark = format!("<!-- {name} -->\n");
        let start = new.find(&mark).unwrap() + mark.len();
        let end = new.find(&format!("<!-- end of {name} -->")).unwrap();
        new.replace_range(start..end, &table);
    }
    if std::env::var_os("PROSPR_WRITE_DOCS").is_some() {
        std::fs::write(&page, &new).unwrap();
    }
    assert!(
        text(&page) == new,
        "docs/methods.md is out of date; run the test with PROSPR_WRITE_DOCS=1"
    );
}
