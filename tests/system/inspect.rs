//! `prospr inspect`, started as by a user.

use crate::sandbox::{SMALL, SMALL_BLIND, Sandbox, has, text};

#[test]
fn masks_are_described_compared_and_drawn() {
    let sandbox = Sandbox::new();
    sandbox.good(&format!("prune {SMALL} --out a"));
    sandbox.good(&format!("prune {SMALL_BLIND} --pruner random --seed 3 --out b"));
    let (out, _) = sandbox.good("inspect a/mask.safetensors b/mask.safetensors");
    has(
        &out,
        &[
            "a/mask.safetensors: lenet-5, prospr at 90 %, seed 0",
            "b/mask.safetensors: lenet-5, random at 90 %, seed 3",
            "43050 of 430500, sparsity 90.00 %",
            "effective",
            "IoU 0.",
            "fc2.weight",
            "█",
        ],
    );
    let args = "inspect a/mask.safetensors b/mask.safetensors a/mask.safetensors --json";
    let found: serde_json::Value = serde_json::from_str(&sandbox.good(args).0).unwrap();
    let results = sandbox.json("a/pruning.json");
    let masks = found["masks"].as_array().unwrap();
    assert_eq!(masks[0]["effective_sparsity"], results["effective_sparsity"]);
    assert_eq!(masks[0]["flops_kept"], results["flops_kept"]);
    assert_eq!(masks[0]["origin"]["pruner"], "prospr");
    // FLOPs of conv1, conv2, fc1 and fc2 for one image, two per multiply-accumulate.
    assert_eq!(masks[0]["flops"], 576_000 + 3_200_000 + 800_000 + 10_000);
    let layer = &masks[1]["layers"][2];
    assert_eq!(layer["name"], "fc1.weight");
    let [weights, kept, effective] =
        ["weights", "kept", "effective"].map(|key| layer[key].as_u64().unwrap());
    assert!(weights == 400_000 && effective <= kept && kept > 39_000 && kept < 41_000);
    let overlaps = found["overlaps"].as_array().unwrap();
    let iou: Vec<f64> = overlaps.iter().map(|o| o["iou"].as_f64().unwrap()).collect();
    assert_eq!(overlaps.len(), 3);
    assert_eq!((iou[0], iou[1]), (iou[2], 1.0));
    // Two random masks that each keep a tenth share 1 of 19 weights of their union.
    assert!(iou[0] > 0.03 && iou[0] < 0.12, "{iou:?}");

    sandbox.good("inspect a/mask.safetensors --picture one.svg");
    let svg = text(&sandbox.bytes("one.svg"));
    has(&svg, &["xmlns=\"http://www.w3.org/2000/svg\"", "conv1.weight", "on a path", "</svg>"]);
    sandbox.good("inspect a/mask.safetensors b/mask.safetensors --picture two.png");
    assert!(sandbox.bytes("two.png").starts_with(b"\x89PNG"));
    sandbox.bad("inspect a/mask.safetensors --picture one.gif", &["one.gif", ".svg"]);
}

#[test]
fn masks_of_other_programs_need_a_network_name() {
    let sandbox = Sandbox::new();
    let mut file = prospr::TensorFile::new("");
    let cpu = prospr::Device::cpu();
    let ones = |shape: &[usize]| prospr::Tensor::ones(shape, prospr::DType::U8, &cpu);
    file.insert("fc1.weight", &ones(&[4, 12])).unwrap();
    file.insert("fc2.weight", &ones(&[3, 4]).zeros_like()).unwrap();
    file.write(&sandbox.path("mask.safetensors")).unwrap();
    sandbox.bad("inspect mask.safetensors", &["mask.safetensors", "--model"]);
    sandbox.bad("inspect mask.safetensors --model mlp:4", &["[4, 12]", "[4, 784]"]);
    let (out, _) = sandbox.good("inspect mask.safetensors --model mlp:4 --image 3,2,2 --classes 3");
    has(
        &out,
        &["passes fc1.weight", "passes fc2.weight", "48 of 60, sparsity 20.00 %", "100.00 %"],
    );
    sandbox.bad("inspect nowhere.safetensors", &["nowhere.safetensors"]);
}
