//! `prospr bench`: every row is measured; the speeds themselves are not tested.

use serde_json::Value;

use crate::sandbox::{Sandbox, has};

/// The rows that `--json` prints.
fn rows(sandbox: &Sandbox, args: &str) -> Vec<Value> {
    let (out, _) = sandbox.good(&format!("bench {args} --json"));
    serde_json::from_str(&out).unwrap()
}

fn number(row: &Value, field: &str) -> f64 {
    let value = row[field].as_f64();
    let value = value.unwrap_or_else(|| panic!("`{field}` is missing in {row}"));
    assert!(value.is_finite() && value >= 0.0, "{field}: {row}");
    value
}

#[test]
fn every_kernel_is_measured_against_burn_and_the_limits() {
    let sandbox = Sandbox::new();
    for device in ["cpu", "gpu"] {
        let rows = rows(&sandbox, &format!("kernels --quick --repeats 1 --device {device}"));
        let of = |name: &str| rows.iter().filter(|r| r["name"] == name).count();
        assert_eq!(rows[0]["name"], "copy");
        // The copy is compared with itself; the tolerance is for rounding.
        assert!((number(&rows[0], "share_of_copy") - 1.0).abs() < 1e-9);
        assert_eq!(rows[1]["name"], "matmul");
        for row in &rows {
            assert!(number(row, "ms") >= number(row, "min_ms") && number(row, "min_ms") > 0.0);
            assert!(number(row, "peak_bytes") > 0.0);
            assert_eq!(row["repeats"], 1);
            assert!(row["device"].as_str().unwrap().starts_with(device));
            number(row, "launches");
            let arithmetic = row.get("tflops").is_some();
            let share = match arithmetic {
                true => ("tflops", "share_of_matmul"),
                false => ("gbps", "share_of_copy"),
            };
            assert!(number(row, share.0) > 0.0 && number(row, share.1) > 0.0);
            if row["name"] != "copy" {
                let ratio = number(row, "burn_ms") / number(row, "ms");
                assert!((ratio / number(row, "ratio_vs_burn") - 1.0).abs() < 1e-9);
            }
        }
        for name in [
            "conv 3x3 64-64 at 32x32",
            "conv 3x3 128-128 at 16x16",
            "conv 3x3 256-256 at 8x8",
            "conv 3x3 64-128 at 32x32 stride 2",
        ] {
            let directions: Vec<&str> = rows
                .iter()
                .filter(|r| r["name"] == name)
                .map(|r| r["direction"].as_str().unwrap())
                .collect();
            assert_eq!(directions, ["forward", "input_grad", "weight_grad"]);
        }
        for name in [
            "relu",
            "batch norm, training",
            "batch norm, training, with gradient",
            "sum, last axis",
            "sum, all axes",
            "sum, all axes but channels",
            "max pool 2x2",
            "max pool 2x2, gradient",
            "softmax cross-entropy, with gradient",
            "SGD with momentum and mask",
            "mask of the best 2 %",
        ] {
            assert_eq!(of(name), 1, "{name}");
        }
    }
}

#[test]
fn steps_and_meta_gradients_are_measured() {
    let sandbox = Sandbox::new();
    for device in ["cpu", "gpu"] {
        for model in ["lenet-5", "mlp:16"] {
            let how = format!("--quick --model {model} --batch 2 --repeats 2 --device {device}");
            let row = &rows(&sandbox, &format!("train {how}"))[0];
            assert_eq!(row["name"], format!("train {model}"));
            assert_eq!(row["size"], "2x1x28x28");
            for field in ["ms", "first_ms", "images_per_second", "flops", "tflops"] {
                assert!(number(row, field) > 0.0, "{field}");
            }
            assert!(number(row, "launches") > 10.0 && number(row, "peak_bytes") > 0.0);
            let (out, err) = sandbox.good(&format!("bench train {how} --precision mixed --json"));
            has(&out, &["\"precision\": \"mixed\""]);
            has(&err, &["mixed precision: ", "computes in f32"]);
            let row = &rows(&sandbox, &format!("meta --steps 1 {how}"))[0];
            assert_eq!((&row["steps"], &row["policy"]), (&1.into(), &"per-step".into()));
            assert!(number(row, "ms") > 0.0 && number(row, "launches") > 20.0);
        }
    }
    let policy = |p: &str| {
        let how = "--quick --model mlp:16 --batch 64 --repeats 1 --device cpu --steps 4";
        let rows = rows(&sandbox, &format!("meta {how} --policy {p}"));
        number(&rows[0], "launches")
    };
    // Values that are not kept are recomputed, which takes more launches.
    assert!(policy("keep") < policy("per-step") && policy("per-step") < policy("every:2"));
}

#[test]
fn scores_of_all_methods_are_measured() {
    let sandbox = Sandbox::new();
    for device in ["cpu", "gpu"] {
        let how = format!("--quick --model lenet-5 --batch 2 --repeats 1 --device {device}");
        let all = rows(&sandbox, &format!("prune {how}"));
        for method in ["prospr", "snip", "grasp", "synflow", "random"] {
            let name = format!("{method} lenet-5");
            let row = all.iter().find(|row| row["name"] == name[..]).unwrap();
            assert_eq!(row["size"], "2x1x28x28");
            assert!(number(row, "ms") > 0.0 && number(row, "peak_bytes") > 0.0);
        }
        assert!(!all.iter().any(|row| row["name"] == "dense lenet-5"));
    }
    let launches = |iterations: usize| {
        let how = "--quick --model mlp:16 --batch 2 --repeats 1 --device cpu";
        let args = format!("prune {how} --pruners synflow --iterations {iterations}");
        let rows = rows(&sandbox, &args);
        assert_eq!(rows.len(), 1);
        number(&rows[0], "launches")
    };
    assert!(launches(4) > 2.0 * launches(1));
}

#[test]
fn tables_compare_with_another_program() {
    let sandbox = Sandbox::new();
    let how = "bench train --quick --model mlp:16 --batch 2 --repeats 1 --device cpu";
    let (json, _) = sandbox.good(&format!("{how} --json"));
    std::fs::write(sandbox.path("before.json"), json).unwrap();
    let (table, _) = sandbox.good(&format!("{how} --beside before.json"));
    has(&table, &["cpu: ", "images/s", "launches", "train mlp:16", "vs before", "before peak"]);
    let (table, _) = sandbox.good(&format!("{how} --beside before.json --markdown"));
    has(&table, &["| before ms |", "|---|---|---:|", "| train mlp:16 | 2×1×28×28 |"]);
    std::fs::write(sandbox.path("other.json"), "{}").unwrap();
    sandbox.bad(&format!("{how} --beside other.json"), &["other.json", "--json"]);
}

#[test]
fn wrong_arguments_list_the_valid_ones() {
    let sandbox = Sandbox::new();
    for (args, parts) in [
        ("train --model lenet-6", &["lenet-6", "lenet-5", "resnet-20"][..]),
        ("meta --model resnet", &["resnet-18", "vgg:LAYERS"]),
        ("prune --iterations 0", &["`--iterations`", "found 0"]),
        ("meta --policy all", &["`all`", "per-step", "every:K"]),
        ("kernels --batch 0", &["`--batch`", "found 0"]),
        ("train --repeats 0", &["`--repeats`", "found 0"]),
        ("meta --precision mixed", &["scores are always computed in f32"]),
    ] {
        sandbox.bad(&format!("bench {args} --device cpu"), parts);
    }
    sandbox.bad("bench kernels --device gpu:97", &["gpu:97", "cpu: "]);
    let (completions, _) = sandbox.good("completions bash");
    has(&completions, &["prospr__subcmd__bench", "--beside"]);
}
