//! Statistics of masked networks, for masks whose paths can be counted by hand.

use std::sync::Arc;

use prospr::nn::init::{Bias, Init};
use prospr::nn::{Mode, Net, Scope};
use prospr::prelude::*;
use prospr::pruners::{Mask, MaskLayer, MaskOptions, Sparsity, Statistics, overlap, prunable};

/// A network with its parameters and state on the CPU, and the shape of its images.
struct Subject {
    net: Net,
    params: Params,
    state: Params,
    image: [usize; 3],
}

impl Subject {
    fn new(model: &str, image: [usize; 3], classes: usize) -> Subject {
        Subject::of(prospr::models::by_name(model, image, classes).unwrap(), image)
    }

    fn of(net: Net, image: [usize; 3]) -> Subject {
        let (params, state) = net.init(Key::new(0), &image, DType::F64, &Device::cpu());
        Subject { net, params, state, image }
    }

    /// Returns the mask that keeps the elements for which `keep` is true, given the layer's name and the
    /// element's indices.
    fn mask(&self, keep: impl Fn(&str, &[usize]) -> bool) -> Mask {
        let layer = |(name, _, weight): (&str, _, &Tensor)| {
            let shape = weight.shape().to_vec();
            let indices = |mut at: usize| {
                let mut indices = vec![0; shape.len()];
                for axis in (0..shape.len()).rev() {
                    (indices[axis], at) = (at % shape[axis], at / shape[axis]);
                }
                indices
            };
            MaskLayer {
                keep: (0..weight.numel()).map(|at| keep(name, &indices(at))).collect(),
                name: name.into(),
                shape,
            }
        };
        Mask::from_layers(prunable(&self.params).iter().map(layer).collect())
    }

    fn statistics(&self, mask: &Mask) -> Statistics {
        Statistics::of(&*self.net, &self.params, &self.state, mask, self.image).unwrap()
    }

    /// Returns the number of effective weights of each layer.
    fn effective(&self, keep: impl Fn(&str, &[usize]) -> bool) -> Vec<(String, usize)> {
        let statistics = self.statistics(&self.mask(keep));
        let layers = statistics.layers.into_iter();
        layers.map(|layer| (layer.name, layer.effective)).collect()
    }

    fn logits(&self, mask: &Mask, images: &Tensor) -> Vec<f64> {
        let weights = prunable(&self.params);
        let mask = mask.tensors(DType::F64, &Device::cpu()).unwrap();
        let weights = weights.zip_leaves(&mask, |w, m| w * m);
        // Without biases, every activation that no path reaches is zero.
        let params = self.params.with(&weights);
        let bias = |name: &str| self.params.role(name) == Some(Role::Bias);
        let zeros = self.params.filter(|name, _| bias(name));
        let params = params.with(&zeros.map_leaves(Tensor::zeros_like));
        let (logits, _) = self.net.apply(&params, &self.state, images, Mode::Eval);
        logits.to_f64s().unwrap()
    }
}

fn counts(layers: &[(String, usize)]) -> Vec<usize> {
    layers.iter().map(|(_, count)| *count).collect()
}

#[test]
fn weights_of_units_without_input_or_output_are_ineffective() {
    let mlp = Subject::new("mlp:3,3", [1, 1, 2], 2);
    // fc1 is [3, 2], fc2 [3, 3], fc3 [2, 3].
    assert_eq!(counts(&mlp.effective(|_, _| true)), [6, 9, 6]);
    // The first hidden unit has no output, so its two input weights are ineffective.
    let cut = |name: &str, at: &[usize]| !(name == "fc2.weight" && at[1] == 0);
    assert_eq!(counts(&mlp.effective(cut)), [4, 6, 6]);
    // It has no input, so its three output weights are ineffective.
    let cut = |name: &str, at: &[usize]| !(name == "fc1.weight" && at[0] == 0);
    assert_eq!(counts(&mlp.effective(cut)), [4, 6, 6]);
    // One chain of units: all weights outside of it are ineffective.
    let chain = |name: &str, at: &[usize]| match name {
        "fc1.weight" => true,
        "fc2.weight" => at == [1, 2],
        _ => at[1] == 0 || at == [0, 1],
    };
    assert_eq!(counts(&mlp.effective(chain)), [2, 1, 1]);
    // A layer without weights interrupts all paths.
    let statistics = mlp.statistics(&mlp.mask(|name, _| name != "fc2.weight"));
    assert_eq!((statistics.kept(), statistics.effective()), (12, 0));
    assert_eq!(statistics.collapsed().count(), 3);
    assert_eq!(statistics.effective_sparsity(), 1.0);
}

#[test]
fn paths_go_through_pools_and_flattening() {
    let lenet = Subject::new("lenet-5", [1, 28, 28], 10);
    let all = lenet.effective(|_, _| true);
    assert_eq!(counts(&all), [500, 25_000, 400_000, 5000]);
    // conv2 reads only the fourth map of conv1; fc1 reads all maps of conv2 except the eighth.
    let part = lenet.effective(|name, at| match name {
        "conv2.weight" => at[1] == 3,
        "fc1.weight" => at[1] / 16 != 7,
        _ => true,
    });
    assert_eq!(counts(&part), [25, 49 * 25, 500 * 49 * 16, 5000]);
}

#[test]
fn paths_go_through_every_pixel_of_a_pooling_window() {
    // On an image of 2 × 2 pixels, each weight of a 3 × 3 kernel reads a pixel for at least one output.
    let pooled = Subject::new("vgg:1,M", [1, 2, 2], 1);
    assert_eq!(counts(&pooled.effective(|_, _| true)), [9, 1]);
    // On an image of one pixel, eight of the nine weights read only the zero border.
    let single = Subject::new("vgg:1", [1, 1, 1], 1);
    assert_eq!(counts(&single.effective(|_, _| true)), [1, 1]);
    // With two pools, all weights of the second kernel are effective too.
    let deep = Subject::new("vgg:2,M,2,M", [1, 4, 4], 1);
    assert_eq!(counts(&deep.effective(|_, _| true)), [18, 36, 2]);
}

#[test]
fn paths_go_through_shortcuts() {
    for model in ["resnet-20", "resnet-20-b"] {
        let resnet = Subject::new(model, [3, 32, 32], 10);
        let whole = resnet.effective(|_, _| true);
        assert!(whole.iter().all(|(name, n)| *n == resnet.params[name].numel()));
        let (dead, cut) = ("layer2.1.conv1.weight", "layer2.1.conv2.weight");
        for (name, n) in resnet.effective(|name, _| name != cut) {
            let expected =
                if name == dead || name == cut { 0 } else { resnet.params[&name].numel() };
            assert_eq!(n, expected, "{model}: {name}");
        }
    }
}

#[test]
fn paths_go_through_the_skip_connections_of_a_unet() {
    let unet = Subject::new("unet:2,2", [1, 8, 8], 2);
    let lowest = "down2.maxpool_conv.1.double_conv.0.weight";
    let layers = unet.effective(|name, _| name != lowest);
    let of = |name: &str| layers.iter().find(|(n, _)| n == name).unwrap().1;
    let whole = |name: &str| unet.params[name].numel();
    for name in ["inc.double_conv.0.weight", "outc.conv.weight"] {
        assert_eq!(of(name), whole(name), "{name}");
    }
    for name in [lowest, "down2.maxpool_conv.1.double_conv.3.weight", "up1.up.weight"] {
        assert_eq!(of(name), 0, "{name}");
    }
    // The half of the channels that comes from the lower level is dead.
    let joined = "up1.conv.double_conv.0.weight";
    assert_eq!(of(joined), whole(joined) / 2);
}

#[test]
fn paths_stay_within_the_groups_of_a_convolution() {
    let net: Net = Arc::new(|s: &Scope, images: &Tensor| {
        let s = s.with_weights(Init::Constant(1.0)).with_bias(Bias::None);
        let options = ConvOptions::default();
        let x = s.at("first").conv2d(images, 4, 1, options).relu();
        let y = s.at("grouped").conv2d(&x, 4, 1, options.groups(2));
        let part = x.narrow(1, 0, 2);
        let both = Tensor::concat(&[y, part], 1).mean_axes(&[2, 3], false);
        s.at("fc").linear(&both, 1)
    });
    let subject = Subject::of(net, [2, 3, 3]);
    assert_eq!(counts(&subject.effective(|_, _| true)), [8, 8, 6]);
    // The last two maps of `first` are read only by the second group, which has no output.
    let cut = |name: &str, at: &[usize]| !(name == "fc.weight" && (at[1] == 2 || at[1] == 3));
    assert_eq!(counts(&subject.effective(cut)), [4, 4, 4]);
}

/// Removing the weights that lie on no path does not change the network's outputs.
#[test]
fn ineffective_weights_do_not_change_outputs() {
    for (model, image, sparsity) in [
        ("mlp:20,10", [1, 4, 4], 0.9),
        ("lenet-5", [1, 28, 28], 0.995),
        ("vgg:8,M,8,8,M", [3, 8, 8], 0.97),
        ("resnet-20", [3, 8, 8], 0.99),
        ("unet:4,2", [1, 8, 8], 0.97),
    ] {
        let subject = Subject::new(model, image, 10);
        let draw = |w: &Tensor| Key::new(5).uniform(w.shape(), DType::F32, &Device::cpu());
        let scores = prunable(&subject.params).map_leaves(draw);
        let options = MaskOptions { min_per_layer: 2, ..MaskOptions::default() };
        let mask = Mask::new(&scores, Sparsity::new(sparsity).unwrap(), &options).unwrap();
        let (params, state) = (&subject.params, &subject.state);
        let connected =
            prospr::pruners::connected(&*subject.net, params, state, &mask, image).unwrap();
        assert!(connected.kept() < mask.kept(), "{model}: all weights are on paths");
        for (a, b) in mask.layers().iter().zip(connected.layers()) {
            let kept = a.keep.iter().zip(&b.keep);
            assert!(kept.into_iter().all(|(a, b)| *a || !b));
        }
        let shape = [4, image[0], image[1], image[2]];
        let images = Key::new(6).normal(&shape, DType::F64, &Device::cpu());
        let pairs = [&mask, &connected].map(|mask| subject.logits(mask, &images));
        assert_eq!(pairs[0], pairs[1], "{model}");
    }
}

#[test]
fn deep_networks_neither_overflow_nor_lose_paths() {
    for model in ["resnet-50", "vgg-19"] {
        let subject = Subject::new(model, [3, 32, 32], 10);
        let whole = subject.statistics(&subject.mask(|_, _| true));
        assert_eq!(whole.sparsity(), 0.0);
        // VGG's last convolutions read 2 × 2 pixels, ResNet's 4 × 4, so every weight of their kernels is effective.
        assert_eq!(whole.effective(), whole.weights(), "{model}");
        // Keeps one in sixteen weights, so that each map has some.
        let thin = subject.statistics(&subject.mask(|_, at| at.iter().sum::<usize>() % 16 == 0));
        assert!(thin.effective() > 0 && thin.effective() <= thin.kept());
    }
}

#[test]
fn flops_are_proportional_to_the_density_of_each_layer() {
    let lenet = Subject::new("lenet-5", [1, 28, 28], 10);
    let statistics = lenet.statistics(&lenet.mask(|name, at| name != "conv2.weight" || at[1] < 5));
    let flops: Vec<u64> = statistics.layers.iter().map(|layer| layer.flops).collect();
    // The convolutions have 24 × 24 and 8 × 8 output pixels, the linear layers one.
    assert_eq!(flops, [2 * 576 * 500, 2 * 64 * 25_000, 800_000, 10_000]);
    let all = flops.iter().sum::<u64>() as f64;
    let share = 1.0 - 0.75 * flops[1] as f64 / all;
    assert!((statistics.flops_kept() - share).abs() < 1e-12);
    // Fifteen of the twenty maps of the first layer are not read.
    let share = share - 0.75 * flops[0] as f64 / all;
    assert!((statistics.flops_effective() - share).abs() < 1e-12);
}

#[test]
fn a_channel_mask_counts_all_weights_of_its_channels() {
    let vgg = Subject::new("vgg:4,4", [1, 4, 4], 2);
    let layer = |name: &str, keep: [bool; 4]| MaskLayer {
        name: name.into(),
        shape: vec![4, 1, 1, 1],
        keep: keep.into(),
    };
    let names: Vec<String> = prunable(&vgg.params).iter().map(|(n, ..)| n.into()).collect();
    let first = [true, false, true, true];
    let mask = Mask::from_layers(vec![layer(&names[0], first), layer(&names[1], [true; 4])]);
    let statistics = vgg.statistics(&mask);
    let kept: Vec<usize> = statistics.layers.iter().map(|layer| layer.kept).collect();
    let effective: Vec<usize> = statistics.layers.iter().map(|l| l.effective).collect();
    assert_eq!(kept, [27, 144, 8]);
    assert_eq!(effective, [27, 108, 8]);
    let strange = Mask::from_layers(vec![layer("conv9.weight", first)]);
    let (params, state) = (&vgg.params, &vgg.state);
    let error = Statistics::of(&*vgg.net, params, state, &strange, vgg.image).unwrap_err();
    assert!(error.to_string().contains("conv9.weight"), "{error}");
}

#[test]
fn overlap_is_intersection_over_union() {
    let mlp = Subject::new("mlp:3,3", [1, 1, 2], 2);
    let a = mlp.mask(|name, at| name == "fc1.weight" || at[0] == 0);
    let b = mlp.mask(|name, at| name == "fc2.weight" || at[1] == 0);
    let layers = overlap(&a, &b).unwrap();
    let counts: Vec<(usize, usize)> = layers.iter().map(|l| (l.both, l.either)).collect();
    assert_eq!(counts, [(3, 6), (3, 9), (1, 4)]);
    let total = prospr::pruners::LayerOverlap::total(&layers);
    assert_eq!((total.both, total.either), (7, 19));
    assert!((total.iou() - 7.0 / 19.0).abs() < 1e-15);
    let other = Subject::new("mlp:4", [1, 1, 2], 2);
    let error = overlap(&a, &other.mask(|_, _| true)).unwrap_err().to_string();
    assert!(error.contains("3 and 2 layers"), "{error}");
}
