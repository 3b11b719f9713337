//! Run folders: resuming, stopping, and faults of files.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::sandbox::{SMALL, SMALL_BLIND, Sandbox, has, text};

/// Returns the rows of a `metrics.csv` without the columns of times.
fn metrics(csv: &[u8]) -> Vec<String> {
    let text = text(csv);
    let untimed = |line: &str| line.split(',').take(7).collect::<Vec<_>>().join(",");
    text.lines().map(untimed).collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
/// Sends SIGINT to the process, as Ctrl-C does.
fn interrupt(child: &Child) {
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

#[cfg(unix)]
/// A run that was killed, and one that was interrupted in the middle of an epoch, give the same bits as an undisturbed
/// run after they are resumed.
#[test]
fn a_resumed_run_is_bit_identical() {
    let sandbox = Sandbox::new();
    let run = format!("run {SMALL} --epochs 4");
    sandbox.good(&format!("{run} --out whole"));
    let epochs = |folder: &str| -> usize {
        let csv = std::fs::read_to_string(sandbox.path(&format!("{folder}/metrics.csv")));
        csv.map_or(0, |text| text.lines().count().saturating_sub(1))
    };

    let mut killed = sandbox.start(&format!("{run} --out killed"));
    wait_until("an epoch is over", || epochs("killed") >= 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!sandbox.path("killed/results.json").exists(), "it was killed too late");
    // The folder contains the settings, so `--resume` alone is enough.
    sandbox.good("run --resume --out killed");

    let mut stopped = sandbox.start(&format!("{run} --out stopped"));
    wait_until("an epoch is over", || epochs("stopped") >= 1);
    std::thread::sleep(Duration::from_millis(40));
    interrupt(&stopped);
    assert_eq!(stopped.wait().unwrap().code(), Some(130));
    assert!(sandbox.path("stopped/checkpoints/last.safetensors").exists());
    let (_, err) = sandbox.good(&format!("{run} --resume --out stopped"));
    has(&err, &["continuing after"]);

    for folder in ["killed", "stopped"] {
        for file in ["mask.safetensors", "model.safetensors", "checkpoints/best.safetensors"] {
            let (a, b) = (
                sandbox.bytes(&format!("whole/{file}")),
                sandbox.bytes(&format!("{folder}/{file}")),
            );
            assert!(a == b, "{folder}/{file} differs");
        }
        assert_eq!(
            metrics(&sandbox.bytes("whole/metrics.csv")),
            metrics(&sandbox.bytes(&format!("{folder}/metrics.csv")))
        );
    }
    // A finished run does not change.
    let (out, err) = sandbox.good("run --resume --out whole");
    has(&err, &["this run is finished"]);
    has(&out, &["conv1.weight", "top-1"]);
}

#[test]
fn a_run_folder_has_all_results_and_settings() {
    let sandbox = Sandbox::new();
    let (out, _) = sandbox.good(&format!("run {SMALL} --epochs 2 --seed 3 --out r --json --quiet"));
    let results = sandbox.json("r/results.json");
    assert_eq!(results, serde_json::from_str::<serde_json::Value>(&out).unwrap());
    assert_eq!(results["pruner"], "prospr");
    assert_eq!(results["sparsity_requested"], 0.9);
    assert_eq!((&results["sparsity"], &results["seed"]), (&0.9.into(), &3.into()));
    assert_eq!((&results["params"], &results["params_kept"]), (&431_080.into(), &43_630.into()));
    let kept: u64 = results["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["kept"].as_u64().unwrap())
        .sum();
    assert_eq!(kept, 43_050);
    for key in ["test_top1", "prune_seconds", "train_seconds"] {
        assert!(results[key].as_f64().unwrap() >= 0.0, "{key}");
    }
    assert!(results["device"].as_str().unwrap().contains("cpu"));
    let config = text(&sandbox.bytes("r/config.toml"));
    has(&config, &["version = \"", "device_name = \"cpu", "seed = 3", "milestones = [1]"]);
    assert_eq!(metrics(&sandbox.bytes("r/metrics.csv")).len(), 3);

    // `prune` and `train` give the same weights as `run`.
    sandbox.good(&format!("prune {SMALL} --epochs 2 --seed 3 --out p"));
    sandbox.good(&format!(
        "train {SMALL} --epochs 2 --seed 3 --mask p/mask.safetensors --init p/init.safetensors --out t"
    ));
    assert!(sandbox.bytes("t/model.safetensors") == sandbox.bytes("r/model.safetensors"));
    assert_eq!(sandbox.json("t/results.json")["pruner"], "prospr");
    let (out, _) = sandbox.good("eval r --json --quiet");
    let tested: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(tested["top1"], results["test_top1"]);
    let (out, _) = sandbox.good(&format!("eval r/model.safetensors {SMALL}"));
    has(&out, &["top-1", "top-5"]);

    // Existing files are not overwritten, and the settings of a run do not change when it resumes.
    sandbox.bad(&format!("run {SMALL} --out r"), &["holds a run already", "--resume", "--out"]);
    sandbox.bad("run --resume --out r --lr 0.5", &["`lr` is 0.01 there, 0.5 here"]);
}

#[test]
fn a_comparison_lists_its_runs_and_resumes() {
    let sandbox = Sandbox::new();
    let args = format!(
        "compare {SMALL_BLIND} --epochs 1 --pruners dense,random --sparsities 0.5,0.9 --seeds 0,1"
    );
    let args = args.replace("--sparsity 0.9 ", "");
    let (table, _) = sandbox.good(&format!("{args} --out c"));
    assert_eq!(table.lines().filter(|line| line.contains('±')).count(), 3, "{table}");
    let first = sandbox.json("c/results.json");
    assert_eq!(first["runs"].as_array().unwrap().len(), 6);
    assert!(sandbox.path("c/random-0.5-s1/model.safetensors").exists());
    // Delete files, as if the comparison had been killed during its last run.
    std::fs::remove_file(sandbox.path("c/results.json")).unwrap();
    std::fs::remove_dir_all(sandbox.path("c/random-0.9-s1")).unwrap();
    sandbox.good(&format!("{args} --resume --out c"));
    let again = sandbox.json("c/results.json");
    for (a, b) in first["runs"].as_array().unwrap().iter().zip(again["runs"].as_array().unwrap()) {
        assert_eq!((&a["test_top1"], &a["layers"]), (&b["test_top1"], &b["layers"]));
    }
}

#[test]
fn wrong_settings_and_files_are_errors() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("typo.toml"), "epoch = 3\n").unwrap();
    sandbox.bad("run --config typo.toml", &["typo.toml", "`epoch`", "`epochs`"]);
    sandbox.bad("run --sparsity 1.5 --device cpu --out x", &["1.5"]);
    sandbox.bad("run --batch-size 0 --device cpu --out y", &["`batch_size`"]);
    sandbox.bad("run --data nist --device cpu --out z", &["nist", "mnist-5k"]);
    sandbox.bad("run --model lenet --device cpu --out w", &["lenet", "lenet-5"]);
    sandbox.bad("run --policy always --device cpu --out v", &["always", "per-step"]);
    sandbox.bad("prune --pruner dense", &["dense"]);
    sandbox.bad(
        "run --pruner snip --perturbation 3 --device cpu --out x",
        &["`perturbation` is a setting of ntk-sap, but the pruner is snip"],
    );
    let (out, _) = sandbox.good("run --lr 0.5 --print-config");
    std::fs::write(sandbox.path("all.toml"), &out).unwrap();
    assert_eq!(sandbox.good("run --config all.toml --print-config").0, out);
    has(&sandbox.good("completions bash").0, &["prospr", "--sparsity"]);

    // Damaged data sets.
    let images = sandbox.bytes("train-images-idx3-ubyte");
    let damage = |bytes: &[u8], parts: &[&str]| {
        std::fs::write(sandbox.path("train-images-idx3-ubyte"), bytes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        sandbox.bad(&format!("run {SMALL} --out {}", out.display()), parts);
    };
    let name = "train-images-idx3-ubyte";
    damage(&images[..5000], &[name, "expected", "download the file again"]);
    damage(&[&[1, 2, 3, 4], &images[4..]].concat(), &[name, "01 02 03"]);
    damage(&[&images[..7], &[0x7f], &images[8..]].concat(), &[name, "found"]);
    std::fs::write(sandbox.path(name), images).unwrap();

    // A folder that cannot be created, even by root.
    std::fs::write(sandbox.path("file"), "").unwrap();
    sandbox.bad(&format!("run {SMALL} --out file/run"), &["file/run", "--out"]);

    // A mask of another network.
    let mut foreign = prospr::TensorFile::new("");
    let one = prospr::Tensor::ones(&[3, 2], prospr::DType::U8, &prospr::Device::cpu());
    foreign.insert("conv1.weight", &one).unwrap();
    foreign.write(&sandbox.path("foreign.safetensors")).unwrap();
    sandbox.bad(
        &format!("train {SMALL} --mask foreign.safetensors --out f"),
        &["foreign.safetensors", "another network", "[3, 2]", "[20, 1, 5, 5]"],
    );
}

/// Starts a run and kills it after its second epoch; returns its command.
fn stopped_run(sandbox: &Sandbox) -> String {
    let run = format!("run {SMALL} --epochs 3");
    let mut child = sandbox.start(&format!("{run} --out r"));
    wait_until("a second epoch is over", || {
        sandbox.path("r/checkpoints/previous.safetensors").exists()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!sandbox.path("r/results.json").exists(), "it was killed too late");
    run
}

#[test]
fn after_a_truncated_checkpoint_the_previous_one_is_used() {
    let sandbox = Sandbox::new();
    let run = stopped_run(&sandbox);
    let last = sandbox.bytes("r/checkpoints/last.safetensors");
    std::fs::write(sandbox.path("r/checkpoints/last.safetensors"), &last[..last.len() / 2])
        .unwrap();
    sandbox.bad(
        &format!("{run} --resume --out r"),
        &[
            "last.safetensors",
            "cut short",
            "the previous one is complete, after 1 epochs",
            "--resume",
        ],
    );
    std::fs::remove_file(sandbox.path("r/checkpoints/last.safetensors")).unwrap();
    sandbox.good(&format!("{run} --resume --out r"));
    sandbox.good(&format!("{run} --out whole"));
    assert!(sandbox.bytes("r/model.safetensors") == sandbox.bytes("whole/model.safetensors"));
}

/// A full disk does not damage the last checkpoint, and the run continues from it when there is free space again.
#[cfg(unix)]
#[test]
fn a_full_disk_does_not_damage_the_last_checkpoint() {
    let sandbox = Sandbox::new();
    let run = stopped_run(&sandbox);
    let last = sandbox.bytes("r/checkpoints/last.safetensors");
    // Limits the size of files to 512 KiB, which acts like a full disk and needs no privileges.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 1024; exec {} {run} --resume --out r",
        env!("CARGO_BIN_EXE_prospr")
    );
    let output = Command::new("sh")
        .args(["-c", &limited])
        .current_dir(sandbox.folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    has(
        &text(&output.stderr),
        &["last good checkpoint", "make room", "--resume --out r", "cannot be written"],
    );
    assert!(last == sandbox.bytes("r/checkpoints/last.safetensors"));
    sandbox.good(&format!("{run} --resume --out r"));
}
