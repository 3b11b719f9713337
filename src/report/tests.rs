//! Tests of whole reports.

use std::fs;
use std::path::Path;

use super::picture::Picture;
use super::sample::{compared, filters, history, layers, results, scores};
use super::*;
use crate::comparison::{Collapse, Comparison};
use crate::config::Check;

const FOUR: [&str; 4] = ["accuracy.png", "sparsity.png", "scores.png", "filters.png"];

/// Checks that opening and closing tags match, and that attributes and text have no unescaped `<` or `&`.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("unclosed: {part}"));
        for reference in text.split('&').skip(1).chain(tag.split('&').skip(1)) {
            let name = reference.split(';').next().unwrap_or_default();
            let known = ["lt", "gt", "amp", "quot", "apos", "#39"];
            assert!(known.contains(&name), "&{name} in {part}");
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or_default());
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Reads a report's page and checks the properties that every page and picture must have.
fn checked(dir: &Path, pictures: &[&str]) -> String {
    let html = fs::read_to_string(dir.join("report.html")).unwrap();
    for outside in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    let svgs: Vec<&str> = html
        .split("<svg")
        .skip(1)
        .map(|rest| rest.split_inclusive("</svg>").next().unwrap_or_default())
        .collect();
    assert!(!svgs.is_empty());
    for svg in svgs {
        assert_well_formed(&format!("<svg{svg}"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("aria-label"));
    }
    assert_eq!(html.matches("<figure>").count(), pictures.len());
    for name in pictures {
        let image = image::open(dir.join(name)).unwrap().to_rgb8();
        assert_eq!(image.width(), 1520, "{name}");
        let colors: std::collections::BTreeSet<[u8; 3]> = image.pixels().map(|p| p.0).collect();
        assert!(colors.len() > 20, "{name} is blank");
        assert!(html.contains(&format!("<a href=\"{name}\">PNG</a>")));
    }
    let files = fs::read_dir(dir).unwrap().flatten();
    let files = files.filter(|f| f.path().extension() != Some("md".as_ref())).count();
    assert_eq!(files, pictures.len() + 1, "only the page, its table and its pictures");
    html
}

#[test]
fn a_run() {
    let history = history(30, 0.93, 1);
    let results = results("prospr", 0.98, layers(4, 0.98, 3), &history);
    let scores = scores(0.98);
    let filters = filters([20, 1, 5, 5], 0.6);
    let report = RunReport {
        results: &results,
        history: &history,
        scores: Some(&scores),
        filters: Some(&filters),
        config_toml: "data = \"<mnist5k> & 'more'\"\n",
    };
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    report.write(first.path()).unwrap();
    report.write(second.path()).unwrap();
    let html = checked(first.path(), &FOUR);
    assert!(html.contains("data = &quot;&lt;mnist5k&gt; &amp; &#39;more&#39;&quot;"));
    assert!(html.contains("prospr at 98 %: lenet5 on mnist5k"));
    assert!(!html.contains("diverged"));
    for name in FOUR.into_iter().chain(["report.html"]) {
        let [a, b] = [&first, &second].map(|dir| fs::read(dir.path().join(name)).unwrap());
        assert!(a == b, "{name} is not reproduced");
    }
}

#[test]
fn a_dense_run_of_one_epoch_that_diverged() {
    let mut history = history(1, 0.1, 1);
    history[0].train_loss = f64::INFINITY;
    history[0].test_loss = f64::NAN;
    let mut dense = layers(4, 0.5, 3);
    for layer in &mut dense {
        (layer.kept, layer.sparsity) = (layer.weights, 0.0);
    }
    let results = results("dense", 0.0, dense, &history);
    let report = RunReport {
        results: &results,
        history: &history,
        scores: None,
        filters: None,
        config_toml: "",
    };
    let dir = tempfile::tempdir().unwrap();
    report.write(dir.path()).unwrap();
    let html = checked(dir.path(), &FOUR[..2]);
    assert!(html.contains("Training diverged") && html.contains("not finite"));
    assert!(html.contains("with all 430,500 prunable weights"));
}

#[test]
fn a_run_with_many_layers_hostile_names_and_nan_accuracies() {
    let mut history = history(200, 0.7, 5);
    history[7].test_top1 = f64::NAN;
    let mut layers = layers(60, 0.999, 9);
    layers[3].name = "<script src=\"x\">&".into();
    layers[4].name =
        "a.very.long.name.that.nobody.could.ever.read.in.a.plot.of.this.width.weight".into();
    layers[5].kept = 0;
    let results = results("snip", 0.999, layers, &history);
    let mut filters = filters([100, 3, 3, 3], 0.9);
    filters.trained[0] = f32::NAN;
    let report = RunReport {
        results: &results,
        history: &history,
        scores: Some(&[]),
        filters: Some(&filters),
        config_toml: "",
    };
    let dir = tempfile::tempdir().unwrap();
    report.write(dir.path()).unwrap();
    let html = checked(dir.path(), &FOUR);
    assert!(html.contains("&lt;script src=&quot;x&quot;&gt;&amp;"));
}

#[test]
fn filters_of_every_shape() {
    assert_eq!(Filters::shape_of(&[6, 1, 5, 5], [1, 28, 28]), Some([6, 1, 5, 5]));
    assert_eq!(Filters::shape_of(&[300, 784], [1, 28, 28]), Some([300, 1, 28, 28]));
    assert_eq!(Filters::shape_of(&[300, 80], [1, 28, 28]), None);
    for shape in [[300, 1, 28, 28], [64, 3, 7, 7], [1, 2, 1, 1], [2, 3, 800, 3], [2, 1, 3, 900]] {
        assert!(!filters(shape, 0.0).picture().unwrap().png().unwrap().is_empty());
    }
    let mut short = filters([20, 1, 5, 5], 0.5);
    short.kept.pop();
    let error = short.picture().map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("conv1.weight") && error.contains("[500, 499, 500]"), "{error}");
}

fn comparison(runs: &[ComparedRun]) -> Comparison {
    Comparison {
        version: "0.1.0".into(),
        runs: runs.iter().map(|run| run.results.clone()).collect(),
        collapsed: Vec::new(),
    }
}

#[test]
fn a_comparison() {
    let mut runs = Vec::new();
    for seed in 0..2 {
        runs.push(compared("dense", 0.0, seed, 0.968));
        for (sparsity, prospr, random) in
            [(0.9, 0.96, 0.93), (0.95, 0.955, 0.8), (0.98, 0.932, 0.1)]
        {
            runs.push(compared("prospr", sparsity, seed, prospr));
            runs.push(compared("random", sparsity, seed, random));
        }
    }
    runs.push(compared("random", 0.98, 0, 0.11));
    runs.last_mut().unwrap().results.check = Some(Check::Shuffle);
    let mut comparison = comparison(&runs);
    let collapse = |pruner: &str, check, seed| Collapse {
        pruner: pruner.into(),
        check,
        sparsity_requested: 0.98,
        seed,
        layer: "conv1.weight".into(),
        weights: 500,
    };
    comparison.collapsed = vec![
        collapse("random", Some(Check::Shuffle), 1),
        collapse("prospr", Some(Check::Invert), 0),
        collapse("synflow", None, 0),
    ];
    let report =
        ComparisonReport { runs: &runs, comparison: &comparison, config_toml: "seeds = [0, 1]\n" };
    let dir = tempfile::tempdir().unwrap();
    report.write(dir.path()).unwrap();
    let html = checked(
        dir.path(),
        &["accuracy.png", "accuracy-by-sparsity.png", "sparsity.png", "filters.png"],
    );
    assert!(html.contains("<a href=\"prospr-0.98-seed1/report.html\">prospr</a>"));
    assert!(html.contains("with 98 % of the weights removed"));
    assert!(html.contains(" ± "));
    let table = fs::read_to_string(dir.path().join("comparison.md")).unwrap();
    for (row, line) in [
        ("pruner", "test top-1 | shuffled | inverted | effective sparsity"),
        ("prospr | 94.66 %", "± 1.59 % | – | collapsed: conv1.weight |"),
        ("random | 95.95 %", "± 1.59 % | 10.21 %, 1 of 2 collapsed | – |"),
        ("synflow | 98.00 %", "– | collapsed: conv1.weight | – | – |"),
    ] {
        let found = table.lines().find(|l| l.starts_with(&format!("| {row}")));
        assert!(found.is_some_and(|l| l.contains(line)), "{row}: {table}");
    }
}

#[test]
fn a_comparison_of_one_dense_run_and_of_none() {
    let mut runs = vec![compared("dense", 0.0, 0, 0.9)];
    runs[0].filters = None;
    let report = |runs: &[ComparedRun], dir: &Path| {
        let comparison = &comparison(runs);
        let config_toml = "";
        ComparisonReport { runs, comparison, config_toml }.write(dir)
    };
    let dir = tempfile::tempdir().unwrap();
    report(&runs, dir.path()).unwrap();
    checked(dir.path(), &FOUR[..2]);
    assert!(report(&[], dir.path()).is_err());
}
