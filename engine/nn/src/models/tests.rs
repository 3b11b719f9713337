//! Sizes of networks against published numbers, and messages for wrong names.

use super::*;
use crate::nn::Summary;
use prospr_engine::{DType, Device, Key};

/// Parameter counts of torchvision's networks, and of ProsPr's variants for small images.
#[test]
fn parameters_are_counted_as_published() {
    let counts = [
        ("lenet-5", [1, 28, 28], 10, 431_080),
        ("lenet-300-100", [1, 28, 28], 10, 266_610),
        ("mlp:300,100", [1, 28, 28], 10, 266_610),
        ("resnet-20", CIFAR, 10, 269_722),
        ("resnet-20-b", CIFAR, 10, 272_474),
        ("resnet-18", CIFAR, 10, 11_173_962),
        ("resnet-18", CIFAR, 100, 11_220_132),
        ("resnet-18", [3, 64, 64], 200, 11_271_432),
        ("resnet-18", [3, 224, 224], 1000, 11_689_512),
        ("resnet-18-imagenet", CIFAR, 1000, 11_689_512),
        ("resnet-50", CIFAR, 10, 23_520_842),
        ("resnet-50", [3, 224, 224], 1000, 25_557_032),
        ("resnet-50-imagenet", CIFAR, 1000, 25_557_032),
        ("vgg-16", CIFAR, 10, 14_728_266),
        ("vgg-16", [3, 224, 224], 1000, 138_365_992),
        ("vgg-16-imagenet", CIFAR, 1000, 138_365_992),
        ("vgg-19", CIFAR, 10, 20_040_522),
        ("vgg-19", CIFAR, 100, 20_086_692),
        ("vgg-19", [3, 64, 64], 200, 20_137_992),
        ("vgg-19-imagenet", [3, 224, 224], 1000, 143_678_248),
        ("unet", [1, 256, 256], 2, 31_036_546),
        ("unet", [3, 256, 256], 2, 31_037_698),
    ];
    for (name, image, classes, expected) in counts {
        let net = by_name(name, image, classes).unwrap();
        let (params, _) = net.init(Key::new(0), &image, DType::F32, &Device::cpu());
        assert_eq!(params.numel(), expected, "{name}, {classes} classes");
    }
}

/// Multiply-accumulates as published by fvcore and torchvision.
#[test]
fn flops_are_counted_as_published() {
    for (name, macs) in [
        ("resnet-18-imagenet", 1_814_073_344),
        ("resnet-50-imagenet", 4_089_184_256),
        ("vgg-16-imagenet", 15_470_264_320),
    ] {
        let image = [3, 224, 224];
        let net = by_name(name, image, 1000).unwrap();
        let summary = Summary::of(&*net, image, &Device::cpu());
        assert_eq!(summary.flops, 2 * macs, "{name}");
    }
}

#[test]
fn every_example_accepts_its_images() {
    for model in MODELS {
        assert!(model.example.starts_with(model.name));
        let net = by_name(model.example, model.image, model.classes).unwrap();
        let summary = Summary::of(&*net, model.image, &Device::cpu());
        assert_eq!(summary.output[0], model.classes, "{}", model.name);
        let layers: u64 = summary.layers.iter().map(|layer| layer.flops).sum();
        assert_eq!(layers, summary.flops, "{}", model.name);
        assert!(summary.step_flops < 3 * summary.flops);
    }
}

#[test]
fn wrong_names_and_images_give_a_reason() {
    for (name, image, reason) in [
        ("lenet-6", CIFAR, "lenet-5, lenet-300-100"),
        ("lenet-6", CIFAR, "unet[:BASE,DEPTH], vgg:LAYERS"),
        ("lenet-5", CIFAR, "images of 1 × 28 × 28"),
        ("resnet-20:5", CIFAR, "no arguments"),
        ("resnet-20", [3, 0, 32], "at least 1"),
        ("vgg-16", [1, 28, 28], "5 pools"),
        ("vgg", CIFAR, "`` is not a layer"),
        ("vgg:8,x", CIFAR, "`x` is not a layer"),
        ("mlp:", CIFAR, "`` is not a size"),
        ("mlp:3,0", CIFAR, "`0` is not a size"),
        ("unet:8", CIFAR, "BASE,DEPTH"),
        ("unet:8,6", CIFAR, "halves images 6 times"),
    ] {
        let error = by_name(name, image, 10).err().unwrap().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}
