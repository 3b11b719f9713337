//! Sanity checks of pruned runs, and comparisons in which layers collapse.

use prospr::TensorFile;
use prospr::config::{Check, CompareConfig, Settings};
use prospr::pruners::Method;

use crate::sandbox::{SMALL, SMALL_BLIND, Sandbox, has, text};

/// Runs a small comparison; `args` must contain `--sparsities`.
fn compare(sandbox: &Sandbox, args: &str) -> String {
    let small = SMALL.replace("--sparsity 0.9 ", "");
    sandbox.good(&format!("compare {small} --epochs 1 {args}")).0
}

/// Returns each layer of a mask: 1 for kept weights, 0 for removed ones.
fn mask(sandbox: &Sandbox, run: &str) -> Vec<(String, Vec<f64>)> {
    let file = TensorFile::read(&sandbox.path(&format!("{run}/mask.safetensors"))).unwrap();
    let layer = |name: &str| (name.to_string(), file.array(name).unwrap().1);
    file.names().map(layer).collect()
}

fn kept(mask: &[(String, Vec<f64>)]) -> Vec<usize> {
    let kept = |layer: &Vec<f64>| layer.iter().filter(|&&keep| keep != 0.0).count();
    mask.iter().map(|(_, layer)| kept(layer)).collect()
}

#[test]
fn each_check_changes_one_thing_and_has_a_column() {
    let sandbox = Sandbox::new();
    let args = "--pruners dense,prospr --sparsities 0.5 --seeds 0,1 --checks shuffle,reinit,invert";
    let table = compare(&sandbox, &format!("{args} --out c"));
    let lines: Vec<&str> = table.lines().collect();
    has(lines[0], &["test top-1", "shuffled", "re-initialised", "inverted", "effective sparsity"]);
    assert_eq!(lines[1].matches('–').count(), 3, "{table}");
    // Deviations of four accuracies, effective sparsity and FLOPs.
    assert_eq!(lines[2].matches('±').count(), 6, "{table}");
    let markdown = text(&sandbox.bytes("c/comparison.md"));
    has(&markdown, &["| pruner | sparsity |", "| prospr | 50.00 % |"]);
    let html = text(&sandbox.bytes("c/report.html"));
    has(&html, &["re-initialised", "prospr-0.5-invert-s1/report.html"]);

    let plain = mask(&sandbox, "c/prospr-0.5-s0");
    let shuffled = mask(&sandbox, "c/prospr-0.5-shuffle-s0");
    assert!(kept(&plain) == kept(&shuffled) && plain != shuffled);
    assert_eq!(plain, mask(&sandbox, "c/prospr-0.5-reinit-s0"));
    // At sparsity 0.5 the inverted mask keeps exactly the other weights.
    let inverted = mask(&sandbox, "c/prospr-0.5-invert-s0");
    for ((name, a), (_, b)) in plain.iter().zip(&inverted) {
        assert!(a.iter().zip(b).all(|(a, b)| a + b == 1.0), "{name}");
    }
    let results = sandbox.json("c/results.json");
    let runs = results["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 + 2 * 4);
    for run in runs {
        let sparsity = run["sparsity"].as_f64().unwrap();
        let effective = run["effective_sparsity"].as_f64().unwrap();
        assert!(effective >= sparsity && effective < 1.0);
        assert!(run["flops_kept"].as_f64().unwrap() > 0.0);
    }

    // A single run with a check gives the same files as the comparison, which takes the scores from the run
    // without one.
    for check in ["shuffle", "reinit"] {
        let args = format!("--epochs 1 --check {check} --out {check}");
        let small = SMALL.replace("0.9", "0.5");
        sandbox.good(&format!("run {small} {args}"));
        for file in ["mask.safetensors", "model.safetensors"] {
            let [a, b] = [check.to_string(), format!("c/prospr-0.5-{check}-s0")]
                .map(|run| sandbox.bytes(&format!("{run}/{file}")));
            assert!(a == b, "{check}: {file}");
        }
        assert!(!sandbox.path(&format!("c/prospr-0.5-{check}-s0/scores.safetensors")).exists());
    }
    assert!(
        sandbox.bytes("reinit/model.safetensors")
            != sandbox.bytes("c/prospr-0.5-s0/model.safetensors")
    );

    // Delete files, as if the comparison had been killed.
    let whole = sandbox.bytes("c/comparison.md");
    std::fs::remove_dir_all(sandbox.path("c/prospr-0.5-invert-s1")).unwrap();
    std::fs::remove_file(sandbox.path("c/results.json")).unwrap();
    compare(&sandbox, &format!("{args} --out c --resume"));
    // The last columns contain times, which differ.
    let untimed = |markdown: &[u8]| -> Vec<String> {
        let lines = text(markdown);
        let cells = |line: &str| line.split('|').take(10).collect::<String>();
        lines.lines().map(cells).collect()
    };
    assert_eq!(untimed(&whole), untimed(&sandbox.bytes("c/comparison.md")));
}

#[test]
fn a_reinitialised_run_starts_from_weights_that_were_not_scored() {
    let sandbox = Sandbox::new();
    sandbox.good(&format!("prune {SMALL} --out plain"));
    sandbox.good(&format!("prune {SMALL} --check reinit --out reinit"));
    assert!(sandbox.bytes("plain/init.safetensors") != sandbox.bytes("reinit/init.safetensors"));
    assert_eq!(mask(&sandbox, "plain"), mask(&sandbox, "reinit"));
    sandbox.good(&format!(
        "train {SMALL} --epochs 1 --mask reinit/mask.safetensors --init reinit/init.safetensors --out halves"
    ));
    sandbox.good(&format!("run {SMALL} --epochs 1 --check reinit --out whole"));
    assert!(sandbox.bytes("halves/model.safetensors") == sandbox.bytes("whole/model.safetensors"));
    assert_eq!(sandbox.json("halves/results.json")["check"], "reinit");
}

#[test]
fn a_comparison_continues_after_a_layer_collapse() {
    let sandbox = Sandbox::new();
    // At sparsity 0.998 so few weights are kept that a layer may get none.
    let args = "--model mlp:8 --pruners random,snip --sparsities 0.5,0.998 --seeds 0,1 --checks invert --out c";
    let table = compare(&sandbox, args);
    has(&table, &["collapsed: fc2.weight"]);
    let results = sandbox.json("c/results.json");
    let collapsed = results["collapsed"].as_array().unwrap();
    let runs = results["runs"].as_array().unwrap().len();
    assert_eq!(runs + collapsed.len(), 2 * 2 * 2 * 2);
    assert!(collapsed.iter().all(|run| run["sparsity_requested"] == 0.998));
    let html = text(&sandbox.bytes("c/report.html"));
    has(&html, &["Layers collapsed", "collapsed: fc2.weight"]);
    // Results that exist are not computed again.
    let again = compare(&sandbox, &format!("{args} --resume"));
    assert_eq!(table.lines().count(), again.lines().count());
    // The error of a single run has advice.
    let alone = "--model mlp:8 --pruner snip --check invert --out alone";
    sandbox.bad(
        &format!("run {} {alone}", SMALL.replace("0.9", "0.998")),
        &["fc2.weight", "--min-per-layer"],
    );
    // All runs collapse.
    let none = compare(&sandbox, "--model mlp:8 --pruners snip --sparsities 0.9999 --out none");
    has(&none, &["collapsed: "]);
}

#[test]
fn layers_without_a_path_give_a_warning() {
    let sandbox = Sandbox::new();
    let mut file = TensorFile::new("");
    let ones =
        |shape: &[usize]| prospr::Tensor::ones(shape, prospr::DType::U8, &prospr::Device::cpu());
    file.insert("fc1.weight", &ones(&[4, 784])).unwrap();
    file.insert("fc2.weight", &ones(&[10, 4]).zeros_like()).unwrap();
    file.write(&sandbox.path("cut.safetensors")).unwrap();
    let args = "--model mlp:4 --epochs 1 --mask cut.safetensors --out cut";
    let (_, err) = sandbox.good(&format!("train {SMALL} {args}"));
    has(&err, &["layer collapse", "`fc1.weight` (3136 of 3136", "`fc2.weight` (0 of 40"]);
    assert_eq!(sandbox.json("cut/results.json")["effective_sparsity"], 1.0);
    for args in ["--pruner dense --check shuffle", "--mask cut.safetensors --check reinit"] {
        let folder = args.replace([' ', '-'], "");
        sandbox.bad(&format!("run {SMALL_BLIND} {args} --out {folder}"), &["`check`", "`pruner`"]);
    }
}

#[test]
fn checks_can_be_limited_to_some_sparsities() {
    let config = CompareConfig {
        pruners: vec![Method::DENSE, Method::named("snip").unwrap()],
        sparsities: vec![0.5, 0.9],
        checks: vec![Check::Shuffle, Check::Invert],
        check_sparsities: Some(vec![0.9]),
        ..CompareConfig::defaults()
    };
    let labels: Vec<String> = config.runs().iter().map(|run| run.label()).collect();
    let expected =
        ["dense-s0", "snip-0.5-s0", "snip-0.9-s0", "snip-0.9-shuffle-s0", "snip-0.9-invert-s0"];
    assert_eq!(labels, expected);
    let all = CompareConfig { check_sparsities: None, ..config };
    assert_eq!(all.runs().len(), 1 + 2 * 3);
}
