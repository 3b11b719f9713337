//! The structure of the code: each module belongs to a floor, imports go down, and no files import each other
//! in a circle.
//!
//! The test reads the `use` lines and the written-out paths of all library code; code of tests is left out. A path to
//! an item counts as an import of the file that defines the item, also if a parent re-exports it. Submodules may use
//! all items that their parent's own file defines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Root file of each crate, and the crate's modules by floor, the lowest floor first.
const FLOORS: &[(&str, &[&[&str]])] = &[
    (
        "engine/core/src/lib.rs",
        &[
            // Pure data: types, shapes, operations, programs.
            &["ir"],
            // Devices, memory and kernels, which depend only on that data and on buffers.
            &["runtime"],
            // Graphs without duplicate values, fusion, plans.
            &["graph"],
            // Lazy tensors and their evaluation.
            &["tensor"],
            // Operations on tensors with their derivative rules; trees, parameters, random keys.
            &["ops", "tree", "params", "random", "images", "top_k", "baseline"],
            // Functional transforms; descriptions of plans.
            &["transform", "explain"],
            // Users of transforms: checks of derivatives, exchange with Burn.
            &["check", "testing", "bridge"],
        ],
    ),
    (
        "engine/store/src/lib.rs",
        &[&["strided", "values", "atomic"], &["pickle"], &["torch"], &["tensor_file"]],
    ),
    ("engine/nn/src/lib.rs", &[&["nn", "optim"], &["models", "train"]]),
    ("shaders/src/lib.rs", &[]),
    ("pruners/src/lib.rs", &[]),
    ("datasets/src/lib.rs", &[]),
    ("src/lib.rs", &[]),
    ("src/main.rs", &[]),
];

#[test]
fn imports_go_down_and_never_in_circles() {
    let mut faults = Vec::new();
    for (root, floors) in FLOORS {
        let code = Crate::read(Path::new(root));
        let imports = code.imports();
        faults.extend(upward(root, floors, &imports));
        faults.extend(circles(root, &imports));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Path of a module from the root of its crate; empty for the root.
type Module = Vec<String>;

/// The modules of a crate, with their code without comments and tests.
struct Crate(BTreeMap<Module, String>);

impl Crate {
    fn read(root: &Path) -> Crate {
        let mut modules = BTreeMap::new();
        let mut pending = vec![(Module::new(), root.to_path_buf())];
        while let Some((module, file)) = pending.pop() {
            let code = library_code(&std::fs::read_to_string(&file).unwrap());
            let folder = match module.last() {
                Some(name) if !file.ends_with("mod.rs") => file.with_file_name(name),
                _ => file.parent().unwrap().to_path_buf(),
            };
            for name in declared(&code) {
                let places = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
                let is_file = |place: &PathBuf| place.is_file();
                if let Some(place) = places.into_iter().find(is_file) {
                    let child = module.iter().cloned().chain([name]).collect();
                    pending.push((child, place));
                }
            }
            modules.insert(module, code);
        }
        Crate(modules)
    }

    /// Returns all pairs of modules of which the first imports from the second.
    fn imports(&self) -> BTreeSet<(Module, Module)> {
        let mut imports = BTreeSet::new();
        for (module, code) in &self.0 {
            for path in paths(code) {
                let Some(target) = self.resolve(module, &path) else {
                    continue;
                };
                if target != *module {
                    imports.insert((module.clone(), target));
                }
            }
        }
        imports
    }

    /// Returns the module that defines the item of a path that is written in the module `from`.
    fn resolve(&self, from: &Module, path: &[String]) -> Option<Module> {
        let mut at = match path[0].as_str() {
            "crate" => Module::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for name in &path[1..] {
            if name == "super" {
                at.pop()?;
                continue;
            }
            let child: Module = at.iter().cloned().chain([name.clone()]).collect();
            if self.0.contains_key(&child) {
                at = child;
                continue;
            }
            return Some(self.definer(&at, name));
        }
        Some(at)
    }

    /// Returns the module that defines an item, found through the re-exports of `module`.
    fn definer(&self, module: &Module, item: &str) -> Module {
        let code = &self.0[module];
        for (at, _) in code.match_indices("pub") {
            let Some((_, rest)) = code[at..].split_once("use ") else {
                continue;
            };
            if code[at..code.len() - rest.len()].contains([';', '{', '}']) {
                continue;
            }
            let mut found = Vec::new();
            expand(rest, &mut Vec::new(), &mut found);
            for mut path in found.into_iter().filter(|path| path.last().unwrap() == item) {
                if path.len() == 2 && path[0] == "crate" && module.is_empty() {
                    continue; // An inline module of this file exports the item again.
                }
                if !matches!(path[0].as_str(), "crate" | "self" | "super") {
                    path.insert(0, "self".into());
                }
                if let Some(target) = self.resolve(module, &path).filter(|t| t != module) {
                    return target;
                }
            }
        }
        module.clone()
    }
}

/// Returns the code of a file up to its first `#[cfg(test)] mod`, without comments.
fn library_code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
    let is_test = |at: &usize| {
        let next = lines.get(at + 1).unwrap_or(&"");
        lines[*at].trim() == "#[cfg(test)]" && next.contains("mod ") && next.ends_with('{')
    };
    let end = (0..lines.len()).find(is_test).unwrap_or(lines.len());
    let mut code = String::new();
    let mut skip = false;
    for line in &lines[..end] {
        // Skips the line after `#[cfg(test)]`.
        if !skip {
            code += line;
            code.push('\n');
        }
        skip = line.trim() == "#[cfg(test)]";
    }
    code
}

/// Returns the names of the submodules that a file declares.
fn declared(code: &str) -> Vec<String> {
    let module = |line: &str| {
        let name = line.trim().strip_suffix(';')?.rsplit_once("mod ")?.1.to_string();
        name.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(name)
    };
    code.lines().filter_map(module).collect()
}

/// Returns all paths in a module's code that begin with `crate`, `super` or `self`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let inside = code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
            if !inside {
                expand(&code[at..], &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

/// Adds a path, or a tree of paths in braces, to `found`; returns the text after it.
fn expand<'a>(text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(rest, prefix, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return rest;
    }
    prefix.push(name.into());
    let rest = match rest.strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || "_{".contains(c)) => {
            expand(rest, prefix, found)
        }
        _ => {
            found.push(prefix.clone());
            rest
        }
    };
    prefix.pop();
    // Skips the new name after `as`.
    match rest.trim_start().strip_prefix("as ") {
        Some(renamed) => renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest,
    }
}

/// Returns a message for each import from a floor above.
///
/// # Panics
/// If a module belongs to no floor.
fn upward(root: &str, floors: &[&[&str]], imports: &BTreeSet<(Module, Module)>) -> Vec<String> {
    if floors.is_empty() {
        return Vec::new();
    }
    let floor = |module: &Module| {
        let name = module.first()?.as_str();
        let floor = floors.iter().position(|floor| floor.contains(&name));
        Some(floor.unwrap_or_else(|| panic!("{root}: module {name} belongs to no floor")))
    };
    imports
        .iter()
        .filter(|(from, to)| floor(from).zip(floor(to)).is_some_and(|(from, to)| to > from))
        .map(|(from, to)| {
            format!("{root}: {} imports {}, a floor above", from.join("::"), to.join("::"))
        })
        .collect()
}

/// Returns a message for each sibling module that is in a circle of imports, or imports from one.
fn circles(root: &str, imports: &BTreeSet<(Module, Module)>) -> Vec<String> {
    // For each parent, the imports between its children.
    let mut families: BTreeMap<Module, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (from, to) in imports {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if let (Some(a), Some(b)) = (from.get(common), to.get(common)) {
            let family = families.entry(from[..common].to_vec()).or_default();
            family.entry(a).or_default().insert(b);
        }
    }
    let mut faults = Vec::new();
    for (parent, mut family) in families {
        // Removes modules without imports until none is left: such modules are in no circle.
        loop {
            let names: Vec<&str> = family.keys().copied().collect();
            for below in family.values_mut() {
                below.retain(|name| names.contains(name));
            }
            let before = family.len();
            family.retain(|_, below| !below.is_empty());
            if family.len() == before {
                break;
            }
        }
        for (name, below) in family {
            let parent = [root].into_iter().chain(parent.iter().map(String::as_str));
            faults.push(format!(
                "{}: {name} is in a circle, or above one, by importing {below:?}",
                parent.collect::<Vec<_>>().join("::")
            ));
        }
    }
    faults
}
