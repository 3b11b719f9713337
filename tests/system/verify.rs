//! `prospr verify`: files made by PyTorch, and faulty files.

use std::path::{Path, PathBuf};
use std::process::Output;

use prospr::prelude::*;
use prospr::verify::{Options, Report, verify};
use serde_json::{Value, json};

use crate::support::{Archive, fixture, gpu};

fn path(name: &str) -> PathBuf {
    fixture(&format!("{name}.safetensors"))
}

pub fn run(path: impl AsRef<Path>, device: Device) -> Result<Report, prospr::pruners::Error> {
    let tolerance = None;
    verify(path, &Options { device, tolerance })
}

/// Verifies a file of PyTorch, which must be reproduced; returns the report.
fn reproduces(name: &str, network: &str, device: Device) -> Report {
    let report = run(path(name), device).unwrap();
    println!("{report}\n");
    assert!(report.ok, "{report}");
    assert_eq!(report.network, network);
    report
}

const VGG: &str =
    "vgg:8,M,16,M,32,32,M (batch norm, conv biases, max pools, global average, 10 classes)";

#[test]
fn files_of_pytorch_are_reproduced() {
    for name in [
        "smallvgg_full_m1",
        "smallvgg_full_m3_mom",
        "smallvgg_structured_m3",
        "smallvgg_snip",
        "smallvgg_grasp",
        "smallvgg_synflow",
    ] {
        let cpu = reproduces(name, VGG, Device::cpu());
        assert!(cpu.agreement.error() < 1e-7 && cpu.precision == "f64");
        let gpu = reproduces(name, VGG, gpu());
        assert_eq!((gpu.tolerance, &gpu.note), (1e-3, &None), "{name}");
        assert!(gpu.agreement.error() < 1e-5 && gpu.precision == "f32");
        let masks = [cpu, gpu].map(|report| report.agreement.mask_agreement);
        assert!(masks.iter().flatten().all(|share| *share > 0.999));
    }
}

/// The note in the report implies that the CPU in f64 reproduces the file, so this is not checked separately.
#[test]
fn ill_conditioned_files_pass_and_wrong_files_fail() {
    let resnet = "resnet20 (stem 16, blocks 3×16 3×32 3×64, option A shortcuts, 10 classes)";
    for (name, network) in [("smallvgg_first_order_m5", VGG), ("resnet20_full_m3", resnet)] {
        let gpu = reproduces(name, network, gpu());
        assert!(gpu.tolerance > 1e-3 && gpu.note.unwrap().contains("ill-conditioned"));
    }
    let wrong = edited("smallvgg_first_order_m5", |archive| {
        scale(archive, "score.features.4.weight", 1.01);
    });
    let report = run(&wrong, gpu()).unwrap();
    assert!(!report.ok && report.note.is_none() && report.tolerance == 1e-3, "{report}");
}

fn scale(archive: &mut Archive, name: &str, factor: f64) {
    let values = &mut archive.tensors.get_mut(name).unwrap().1;
    values.iter_mut().for_each(|v| *v *= factor);
}

/// Writes a file with all values in f64, so that reading gives exactly the same values.
pub fn save(archive: &Archive) -> tempfile::TempPath {
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = archive
        .tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, shape.as_slice(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let f64 = safetensors::Dtype::F64;
        (name, safetensors::tensor::TensorView::new(f64, shape.to_vec(), bytes).unwrap())
    });
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let metadata = Some(archive.metadata.clone().into_iter().collect());
    std::fs::write(&file, safetensors::serialize(views, metadata).unwrap()).unwrap();
    file
}

fn edited(name: &str, edit: impl FnOnce(&mut Archive)) -> tempfile::TempPath {
    let mut archive = Archive::read(path(name));
    edit(&mut archive);
    save(&archive)
}

fn prospr(path: &Path, more: &[&str]) -> (Output, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_prospr"))
        .args(["verify", "--device", "cpu", "--fixture"])
        .arg(path)
        .args(more)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    (output, stdout)
}

#[test]
fn the_command_accepts_right_scores_and_rejects_wrong_ones() {
    let right = path("smallvgg_snip");
    let (output, stdout) = prospr(Path::new(&right), &[]);
    assert!(output.status.success(), "{stdout}");
    for line in ["max_rel_error: ", "l2_rel_error: ", "rank_agreement: 1.0", "verdict: ok"] {
        assert!(stdout.contains(line), "`{line}` is missing in:\n{stdout}");
    }
    let (output, stdout) = prospr(Path::new(&right), &["--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert!(output.status.success() && report["ok"] == true && report["network"] == VGG);
    assert!(report["l2_rel_error"].as_f64().unwrap() < 1e-6);
    let (output, stdout) = prospr(Path::new(&right), &["--tolerance", "1e-12"]);
    assert!(output.status.code() == Some(1) && stdout.contains("verdict: FAILED"));

    let mask = |archive: &mut Archive| {
        let mask = &mut archive.tensors.get_mut("mask.features.11.weight").unwrap().1;
        mask.reverse();
    };
    for wrong in [
        edited("smallvgg_snip", |a| scale(a, "score.features.4.weight", 1.01)),
        edited("smallvgg_snip", |a| scale(a, "init.features.4.weight", 1.01)),
        edited("smallvgg_synflow", mask),
    ] {
        let (output, stdout) = prospr(&wrong, &[]);
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert!(stdout.contains("verdict: FAILED"), "{stdout}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}

type Edit = fn(&mut Archive);

#[test]
fn missing_and_unknown_entries_are_errors_with_their_names() {
    let take: fn(&mut Archive, &str) = |a, name| {
        a.tensors.remove(name).unwrap();
    };
    let cases: [(Edit, &str); 14] = [
        (|a| a.metadata.clear(), "metadata entry `case`"),
        (|a| *a.metadata.get_mut("case").unwrap() = "[".into(), "not the JSON object"),
        (|a| case(a, "method", json!("magic")), "`magic`; expected full, first_order"),
        (|a| case(a, "num_steps", Value::Null), "`num_steps` is missing"),
        (|a| case(a, "num_steps", json!(6)), "`batch.6.x` is missing; the case needs 7 batches"),
        (
            |a| drop(a.tensors.remove("init.features.5.bias")),
            "`init.features.5.bias` of shape [16] is missing",
        ),
        (|a| drop(a.tensors.remove("init.features.4.weight")), "expected it at index 3, or at 4"),
        (|a| drop(a.tensors.remove("init.classifier.weight")), "expected one linear layer"),
        (
            |a| drop(a.tensors.remove("score.features.8.weight")),
            "`score.features.8.weight` is missing",
        ),
        (|a| drop(a.tensors.remove("batch.1.y")), "`batch.1.y` is missing"),
        (
            |a| a.tensors.get_mut("batch.0.y").unwrap().1[3] = 10.0,
            "label 10; expected whole numbers below 10",
        ),
        (
            |a| a.tensors.get_mut("score.features.0.weight").unwrap().0 = vec![216],
            "has shape [216]",
        ),
        (
            |a| drop(a.tensors.insert("init.extra".into(), (vec![1], vec![0.0]))),
            "`init.extra` has no place",
        ),
        (
            |a| drop(a.tensors.insert("score.extra".into(), (vec![1], vec![0.0]))),
            "`score.extra` belongs to no layer",
        ),
    ];
    for (edit, part) in cases {
        let file = edited("smallvgg_full_m1", edit);
        let error = run(&file, Device::cpu()).unwrap_err().to_string();
        let name = file.display().to_string();
        assert!(error.contains(part) && error.contains(&name), "expected `{part}` in: {error}");
    }
    let foreign = edited("resnet20_full_m3", |a| take(a, "init.layer2.1.bn1.running_var"));
    let error = run(&foreign, Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("`init.layer2.1.bn1.running_var` of shape [32] is missing"), "{error}");

    let garbage = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let whole = std::fs::read(path("smallvgg_snip")).unwrap();
    for bytes in [&b"not a safetensors file"[..], &[], &whole[..whole.len() / 2]] {
        std::fs::write(&garbage, bytes).unwrap();
        let (output, _) = prospr(&garbage, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains("cut short"), "{stderr}");
    }
}

/// Sets an entry of the case.
fn case(archive: &mut Archive, key: &str, value: Value) {
    let text = archive.metadata.get_mut("case").unwrap();
    let mut case: Value = serde_json::from_str(text).unwrap();
    case[key] = value;
    *text = case.to_string();
}
