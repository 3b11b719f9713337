//! Networks by name, compared with PyTorch and torchvision for the same weights; `prospr models`.
//!
//! tests/fixtures/networks.py describes the fixtures and keeps activations away from kinks, so that f32
//! can be compared with PyTorch's f64 as well (docs/decisions/0003-f32-near-kinks.md describes results near kinks).

use std::process::Command;

use prospr::models::{Head, Model, Vgg, by_name};
use prospr::nn::{Mode, Net, Summary, cross_entropy};
use prospr::prelude::*;
use prospr::value_and_grad_aux;

use crate::support::{Fixture, gpu, relative_l2};

/// Hash of a name: FNV-1a.
fn seed(name: &str) -> u32 {
    name.bytes()
        .fold(0x811C_9DC5, |seed: u32, byte| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Pseudorandom integer: the seed, mixed with the index (Wellons' lowbias32).
fn bits(seed: u32, index: usize) -> u32 {
    let h = (index as u32).wrapping_mul(0x9E37_79B1) ^ seed;
    let h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
    let h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

/// Pseudorandom numbers, uniform in (−1, 1): odd multiples of 2⁻²⁴.
fn units(name: &str, count: usize) -> impl Iterator<Item = f64> + use<> {
    let seed = seed(name);
    (0..count).map(move |i| (f64::from(bits(seed, i) >> 8) * 2.0 - 16_777_215.0) / 16_777_216.0)
}

fn tensor(
    values: impl Iterator<Item = f64>,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> Tensor {
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    Tensor::new(&values, shape, device).unwrap().to_dtype(dtype)
}

/// Returns parameters or statistics with the values that `value` in tests/fixtures/networks.py computes.
fn formula(like: &Params, dtype: DType, device: &Device) -> Params {
    let mut params = Params::new();
    for (name, role, value) in like.iter() {
        let shape = value.shape();
        let fan: usize = shape[1..].iter().product();
        let scale = (6.0 / fan as f64).sqrt();
        let around_one = name.ends_with("weight") || name.ends_with("running_var");
        let values = units(name, value.numel()).map(|u| match shape.len() {
            1 if around_one => 1.0 + 0.25 * u,
            1 if name.ends_with("running_mean") => 0.1 * u,
            1 => u.signum() * 2.0 + 0.5 * u,
            _ => u * scale,
        });
        params.insert(name, role, tensor(values, shape, dtype, device));
    }
    params
}

/// Returns the norm of a tensor, and its inner products with two vectors of [`units`].
fn sketch(name: &str, value: &Tensor) -> [f64; 3] {
    let values = value.to_f64s().unwrap();
    let product = |vector: &str| {
        let units = units(&format!("{vector}.{name}"), values.len());
        values.iter().zip(units).map(|(v, u)| v * u).sum()
    };
    let square: f64 = values.iter().map(|v| v * v).sum();
    [square.sqrt(), product("a"), product("b")]
}

/// Relative errors of one device against the fixture.
struct Errors {
    outputs: f64,
    statistics: f64,
    gradients: f64,
}

fn errors(fixture: &Fixture, net: &Net, device: &Device, dtype: DType) -> Errors {
    let case = &fixture.case;
    let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
    let classes = case["classes"].as_u64().unwrap() as u32;
    let (params, state) = net.init(Key::new(0), &shape[1..], dtype, device);
    assert_eq!(params.numel() as u64, case["parameters"]);
    let (params, state) = (formula(&params, dtype, device), formula(&state, dtype, device));
    let pixels = units(case["images"].as_str().unwrap(), shape.iter().product());
    let images = tensor(pixels.map(|u| u * 3f64.sqrt()), &shape, dtype, device);

    let (eval, _) = net.apply(&params, &state, &images, Mode::Eval);
    let mut label_shape = eval.shape().to_vec();
    label_shape.remove(1);
    let labels: Vec<i32> = (0..label_shape.iter().product())
        .map(|i| ((bits(seed("labels"), i) >> 8) % classes) as i32)
        .collect();
    let labels = Tensor::new(&labels, &label_shape, device).unwrap();
    let loss = |params: &Params| {
        let (logits, next) = net.apply(params, &state, &images, Mode::Train(Key::new(0)));
        (cross_entropy(&logits, &labels), (logits, next))
    };
    let ((loss, (logits, next)), gradients) = value_and_grad_aux(loss)(&params);

    let outputs = [("eval", &eval), ("logits", &logits), ("loss", &loss)];
    let outputs = outputs
        .map(|(name, t)| relative_l2(&t.to_f64s().unwrap(), &fixture.tensors[name].1))
        .into_iter()
        .fold(0.0, f64::max);
    let expected = |name: &str, kind: &str| &fixture.tensors[&format!("{kind}.{name}")].1;
    // Batch norm makes some gradients zero, so errors are relative to at least 1 % of the mean norm.
    let squares = gradients.iter().map(|(name, ..)| expected(name, "grad")[0].powi(2));
    let floor = 0.01 * (squares.sum::<f64>() / gradients.len() as f64).sqrt();
    let largest = |found: &Params, kind: &str, floor: f64| {
        let errors = found.iter().map(|(name, _, value)| {
            let expected = expected(name, kind);
            let found = sketch(name, value);
            let differences = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
            differences.fold(0.0, f64::max) / expected[0].max(floor)
        });
        // Unlike `f64::max`, this keeps NaN.
        errors.fold(0.0, |a, b| if b <= a { a } else { b })
    };
    Errors {
        outputs,
        statistics: largest(&next, "next", 0.0),
        gradients: largest(&gradients, "grad", floor),
    }
}

/// Compares a network with its fixture on these devices, and its FLOPs with those counted from PyTorch's layers.
fn check(file: &str, net: impl Fn([usize; 3], usize) -> Net, devices: &[(Device, DType)]) {
    let fixture = Fixture::load(&format!("networks/{file}"));
    let case = &fixture.case;
    let number = |key: &str| case[key].as_u64().unwrap() as usize;
    let shape: [usize; 4] = serde_json::from_value(case["shape"].clone()).unwrap();
    let [_, c, h, w] = shape;
    let (classes, side) = (number("classes"), number("flops_side"));

    let counted = net([c, side, side], classes);
    let summary = Summary::of(&*counted, [c, side, side], &Device::cpu());
    assert_eq!(summary.flops, case["flops"], "{file}: forward");
    assert_eq!(summary.step_flops, case["step_flops"], "{file}: training");

    let net = net([c, h, w], classes);
    let torch = case["torch_f32_error"].as_f64().unwrap();
    for (device, dtype) in devices {
        let found = errors(&fixture, &net, device, *dtype);
        let Errors { outputs, statistics, gradients } = found;
        println!(
            "{file} on {device} in {dtype}: outputs {outputs:.1e}, statistics {statistics:.1e}, gradients {gradients:.1e} (PyTorch's f32: {torch:.1e})"
        );
        let bar = if *dtype == DType::F64 { 1e-9 } else { 1e-4 };
        let all = [outputs, statistics, gradients];
        assert!(all.iter().all(|&error| error <= bar), "{file} in {dtype}");
    }
}

fn cpu() -> [(Device, DType); 2] {
    [DType::F64, DType::F32].map(|dtype| (Device::cpu(), dtype))
}

fn named(name: &str) -> impl Fn([usize; 3], usize) -> Net {
    move |image, classes| by_name(name, image, classes).unwrap()
}

#[test]
fn small_networks_equal_pytorchs() {
    let [f64, f32] = cpu();
    let devices = [f64, f32, (gpu(), DType::F32)];
    check("lenet-5", named("lenet-5"), &devices);
    check("lenet-300-100", named("lenet-300-100"), &devices);
    check("vgg-8-M-16-16-M", named("vgg:8,M,16,16,M"), &devices);
    check("unet-8-2", named("unet:8,2"), &devices);
}

#[test]
fn resnets_for_small_images_equal_pytorchs() {
    check("resnet-20", named("resnet-20"), &cpu());
    check("resnet-20-b", named("resnet-20-b"), &cpu());
    check("resnet-18", named("resnet-18"), &cpu());
    check("resnet-50", named("resnet-50"), &cpu());
}

#[test]
fn resnets_equal_torchvisions() {
    for name in ["resnet-18-imagenet", "resnet-50-imagenet"] {
        check(name, named(name), &cpu());
    }
}

#[test]
fn vggs_for_small_images_equal_torchvisions() {
    check("vgg-16", named("vgg-16"), &cpu());
    check("vgg-19", named("vgg-19"), &cpu());
}

/// The networks have 64 hidden units instead of 4096, and no dropout.
#[test]
fn vggs_equal_torchvisions() {
    for (name, vgg) in
        [("vgg-16-imagenet", Vgg::vgg16 as fn(usize) -> Vgg), ("vgg-19-imagenet", Vgg::vgg19)]
    {
        let head = Head::Hidden { width: 64, dropout: 0.0 };
        let net = |_, classes| {
            let net: Net = std::sync::Arc::new(Vgg { head, ..vgg(classes) });
            net
        };
        check(name, net, &cpu());
    }
}

/// Hash of names, roles, shapes and F32 values: FNV-1a on 32-bit words. For more than 40 million parameters,
/// the values are left out.
fn fingerprint(params: &Params) -> u64 {
    let mut words: Vec<u32> = Vec::new();
    for (name, role, value) in params.iter() {
        let text = format!("{name} {role:?} {:?}", value.shape());
        words.extend(text.bytes().map(u32::from));
        if params.numel() < 40_000_000 {
            words.extend(value.to_vec::<f32>().unwrap().iter().map(|v| v.to_bits()));
        }
    }
    let mix = |hash: u64, word| (hash ^ u64::from(word)).wrapping_mul(0x100_0000_01B3);
    words.into_iter().fold(0xCBF2_9CE4_8422_2325, mix)
}

/// The same seed gives the same initial parameters and running statistics in every version of the program.
#[test]
fn initial_values_never_change() {
    // Fingerprints of parameters and state.
    let recorded = [
        ("lenet-5", 0x3252_3923_6055_0260, 0xCBF2_9CE4_8422_2325),
        ("lenet-300-100", 0xDA35_B4CA_3FD7_B257, 0xCBF2_9CE4_8422_2325),
        ("resnet-20", 0x7755_CB80_575F_113E, 0xD285_7726_8192_3C39),
        ("resnet-20-b", 0x7620_122C_D38C_6FBC, 0x4F84_27E3_E81F_844B),
        ("resnet-18", 0x76E5_F57A_9DE5_C721, 0x10D7_1DB8_2968_ED3D),
        ("resnet-50", 0x2F97_E026_88F8_CAE1, 0xC649_6C51_6330_1D03),
        ("vgg-16", 0x653E_5F74_1093_BD4F, 0xE735_22C6_3812_978B),
        ("vgg-19", 0x49AB_2E76_5CAA_CCCB, 0x4FF2_461C_D42F_ABB5),
        ("resnet-18-imagenet", 0x7BC0_6CAE_A00D_0C46, 0x10D7_1DB8_2968_ED3D),
        ("resnet-50-imagenet", 0x630C_340B_E72E_9C69, 0xC649_6C51_6330_1D03),
        ("vgg-16-imagenet", 0xBB52_E938_AC13_BFBB, 0xE735_22C6_3812_978B),
        ("vgg-19-imagenet", 0xB95B_8193_35E0_7D03, 0x4FF2_461C_D42F_ABB5),
        ("unet", 0x7C16_0DFA_FD5D_8618, 0x97D9_D316_0DFC_0459),
        ("vgg", 0x26C0_CBE9_36EB_A5FD, 0xC738_A391_5685_6A59),
        ("mlp", 0xDA35_B4CA_3FD7_B257, 0xCBF2_9CE4_8422_2325),
    ];
    for (name, params, state) in recorded {
        let model = Model::of(name).unwrap();
        let net = by_name(model.example, model.image, model.classes).unwrap();
        let drawn = net.init(Key::new(7), &model.image, DType::F32, &Device::cpu());
        let found = (fingerprint(&drawn.0), fingerprint(&drawn.1));
        assert_eq!(found, (params, state), "{name}: {found:#x?}");
    }
}

fn prospr(args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prospr"));
    let output = command.args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_network_for_segmentation_does_not_accept_labels_per_image() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("run");
    let args = ["run", "--model", "unet:4,2", "--device", "cpu", "--out"];
    let (ok, _, error) = prospr(&[&args[..], &[out.to_str().unwrap()]].concat());
    assert!(!ok && error.contains("[10, 28, 28]"), "{error}");
}

#[test]
fn the_command_lists_networks() {
    let prospr = |args: &[&str]| prospr(&[&["models"], args].concat());
    let (ok, text, _) = prospr(&[]);
    println!("{text}");
    assert!(ok && text.contains("resnet-50-imagenet") && text.contains("25557032"));
    let (_, json, _) = prospr(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let row = |name: &str| json.as_array().unwrap().iter().find(|r| r["name"] == name);
    let row = row("resnet-20").unwrap();
    assert_eq!(row["parameters"], 269_722);
    assert_eq!(row["prunable_weights"], 268_336);
    assert_eq!(row["flops"], 81_102_080);
    assert_eq!(row["layers"].as_array().unwrap().len(), 20);
    let one = ["--model", "vgg:8,M", "--image", "1,28,28", "--classes", "5"];
    let (_, text, _) = prospr(&one);
    assert!(text.contains("features.0") && text.contains("8×1×3×3"), "{text}");
    let (ok, _, error) = prospr(&["--model", "resnet-21"]);
    assert!(!ok && error.contains("resnet-20-b, resnet-18"), "{error}");
    let (ok, _, error) = prospr(&["--model", "unet", "--image", "1,28"]);
    assert!(!ok && error.contains("C,H,W"), "{error}");
}
