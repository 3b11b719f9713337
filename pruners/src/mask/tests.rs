//! Masks of scores that can be ranked by hand.

use super::*;

fn scores(layers: &[(&str, &[f32])]) -> Params {
    let mut params = Params::new();
    for (name, values) in layers {
        params.insert(
            name,
            Role::Weight,
            Tensor::new(values, &[values.len()], &Device::cpu()).unwrap(),
        );
    }
    params
}

fn kept(mask: &Mask) -> Vec<Vec<f64>> {
    let tensors = mask.tensors(DType::F32, &Device::cpu()).unwrap();
    tensors.iter().map(|(.., t)| t.to_f64s().unwrap()).collect()
}

#[test]
fn exactly_the_highest_stay_and_ties_rank_by_place() {
    let scores = scores(&[("a", &[1.0, 5.0, 1.0]), ("b", &[1.0, 3.0])]);
    let mask = |s: f64| Mask::new(&scores, Sparsity::new(s).unwrap(), &MaskOptions::default());
    assert_eq!(kept(&mask(0.6).unwrap()), [vec![0.0, 1.0, 0.0], vec![0.0, 1.0]]);
    assert_eq!(kept(&mask(0.4).unwrap()), [vec![1.0, 1.0, 0.0], vec![0.0, 1.0]]);
    assert_eq!(kept(&mask(0.0).unwrap()), [vec![1.0; 3], vec![1.0; 2]]);
    assert_eq!(mask(0.6).unwrap().kept(), 2);
    let error = mask(0.8).unwrap_err();
    assert_eq!(error, Error::EmptyLayer { layer: "b".into(), weights: 2, sparsity: 0.8 });
    assert!(error.to_string().contains("--min-per-layer"));
}

#[test]
fn minimum_per_layer() {
    let scores = scores(&[("a", &[9.0, 8.0, 7.0, 6.0]), ("b", &[1.0, 2.0])]);
    let mask = |s: f64, m| {
        Mask::new(
            &scores,
            Sparsity::new(s).unwrap(),
            &MaskOptions { min_per_layer: m, ..MaskOptions::default() },
        )
    };
    assert_eq!(kept(&mask(0.5, 1).unwrap()), [vec![1.0, 1.0, 0.0, 0.0], vec![0.0, 1.0]]);
    assert!(matches!(mask(0.5, 2), Err(Error::Minimum { needed: 4, kept: 3, .. })));
}

#[test]
fn bad_input_is_refused() {
    assert_eq!(Sparsity::new(1.0), Err(Error::Sparsity(1.0)));
    assert!(Sparsity::new(f64::NAN).is_err() && Sparsity::new(-0.1).is_err());
    let scores = scores(&[("a", &[1.0, f32::NAN])]);
    let error =
        Mask::new(&scores, Sparsity::new(0.5).unwrap(), &MaskOptions::default()).unwrap_err();
    assert_eq!(error, Error::NotFinite { layer: "a".into() });
}

#[test]
fn files_hold_masks_and_know_their_network() {
    let path = std::env::temp_dir().join(format!("prospr-mask-{}", std::process::id()));
    let weights = scores(&[("a", &[1.0, 5.0, 2.0]), ("b", &[4.0, 3.0])]);
    let mask = Mask::new(&weights, Sparsity::new(0.4).unwrap(), &MaskOptions::default());
    let mask = mask.unwrap();
    mask.save(&path, "seed = 1").unwrap();
    assert_eq!(Mask::load(&path, &weights).unwrap(), (mask, "seed = 1".into()));
    for (other, part) in [
        (scores(&[("a", &[0.0; 3])]), "layer `b`"),
        (scores(&[("a", &[0.0; 3]), ("b", &[0.0; 3])]), "shape [2]"),
        (scores(&[("a", &[0.0; 3]), ("b", &[0.0; 2]), ("c", &[0.0])]), "lacks"),
    ] {
        let error = Mask::load(&path, &other).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("another network"), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_count_is_exact() {
    for (n, sparsity, kept) in
        [(100, 0.9, 10), (1000, 0.98, 20), (430_500, 0.98, 8610), (3, 0.5, 2), (10, 0.99, 1)]
    {
        assert_eq!(Sparsity::new(sparsity).unwrap().kept(n), kept, "{n} at {sparsity}");
    }
}

/// 4 of 4 + 2 + 2 weights are kept. With uniform shares, scores are compared only within a layer.
#[test]
fn layers_have_their_shares() {
    let scores =
        scores(&[("a.weight", &[9.0, 8.0, 7.0, 6.0]), ("b", &[1.0, 2.0]), ("c", &[5.0, 3.0])]);
    let mask = |options: &MaskOptions| Mask::new(&scores, Sparsity::new(0.5).unwrap(), options);
    let uniform = MaskOptions { allocation: Allocation::Uniform, ..MaskOptions::default() };
    assert_eq!(
        kept(&mask(&uniform).unwrap()),
        [vec![1.0, 1.0, 0.0, 0.0], vec![0.0, 1.0], vec![1.0, 0.0]]
    );
    let keep = |names: &[&str], sparsity_excludes_kept| MaskOptions {
        keep: names.iter().map(|name| name.to_string()).collect(),
        sparsity_excludes_kept,
        ..MaskOptions::default()
    };
    // `b` stays whole, and the two best of the others: none of `c`.
    assert!(matches!(
        mask(&keep(&["b"], false)),
        Err(Error::EmptyLayer { layer, .. }) if layer == "c"
    ));
    // Three of the six others.
    let uncounted = |allocation| MaskOptions { allocation, min_per_layer: 1, ..keep(&["b"], true) };
    let expected = [vec![1.0, 1.0, 0.0, 0.0], vec![1.0; 2], vec![1.0, 0.0]];
    for allocation in [Allocation::Global, Allocation::Uniform] {
        assert_eq!(kept(&mask(&uncounted(allocation)).unwrap()), expected);
    }
    assert!(matches!(
        mask(&keep(&["first", "last"], false)),
        Err(Error::Minimum { needed: 6, kept: 4, .. })
    ));
    let all = mask(&keep(&["a", "b", "c"], true)).unwrap();
    assert_eq!(all.kept(), 8);
    assert!(matches!(mask(&keep(&["d"], true)), Err(Error::UnknownLayer { .. })));
}
