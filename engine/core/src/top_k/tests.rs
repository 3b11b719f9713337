use crate::testing::each_device;
use crate::{DType, Device, Key, Tensor, top_k_masks};

/// Returns reference masks, computed by sorting.
fn reference(scores: &[Vec<f32>], k: usize) -> Vec<Vec<bool>> {
    let mut places: Vec<(f32, usize, usize)> = Vec::new();
    for (t, scores) in scores.iter().enumerate() {
        places.extend(scores.iter().enumerate().map(|(i, &s)| (s, t, i)));
    }
    // The sort is stable, so that ties keep their order; NaNs of either sign rank equally.
    let rank = |s: f32| if s.is_nan() { -f32::NAN } else { s };
    places.sort_by(|a, b| rank(b.0).total_cmp(&rank(a.0)));
    let mut masks: Vec<Vec<bool>> = scores.iter().map(|s| vec![false; s.len()]).collect();
    for &(_, t, i) in &places[..k] {
        masks[t][i] = true;
    }
    masks
}

fn check(name: &str, scores: &[Vec<f32>], k: usize) {
    let expected = reference(scores, k);
    each_device(|device, dtype| {
        let tensors: Vec<Tensor> = scores
            .iter()
            .map(|s| Tensor::new(s, &[s.len()], device).unwrap().to_dtype(dtype))
            .collect();
        let mut ways = vec![top_k_masks(&tensors, k).unwrap()];
        if 0 < k && k < scores.iter().map(Vec::len).sum() {
            // On the device itself, also for software rasterizers.
            crate::eval(&tensors).unwrap();
            ways.push(super::on_device(&tensors, k).unwrap());
        }
        for masks in ways {
            for (t, (mask, expected)) in masks.iter().zip(&expected).enumerate() {
                let found = mask.to_vec::<bool>().unwrap();
                assert!(found == *expected, "{name}, k = {k}, tensor {t} on {device}");
            }
        }
    });
}

#[test]
fn the_largest_of_all_tensors() {
    let draw = |seed, n| -> Vec<f32> {
        let values = Key::new(seed).normal(&[n], DType::F32, &Device::cpu());
        values.to_vec().unwrap()
    };
    let normal: Vec<Vec<f32>> = [1, 7, 2048, 2049, 70_001, 16_384]
        .iter()
        .enumerate()
        .map(|(i, &n)| draw(i as u64, n))
        .collect();
    let total: usize = normal.iter().map(Vec::len).sum();
    for k in [0, 1, 2, 1000, total / 2, total - 1, total] {
        check("normal", &normal, k);
    }
    // Few different values, so that most are ties, over several blocks and tensors.
    let round = |s: &Vec<f32>| s.iter().map(|v| v.round()).collect();
    let rounded: Vec<Vec<f32>> = normal.iter().map(round).collect();
    for k in [1, 5, 999, 30_000, total / 2, total - 5000] {
        check("rounded", &rounded, k);
    }
    check("equal", &[vec![0.5; 5000], vec![0.5; 70_000]], 4100);
    check("equal", &[vec![0.5; 5000], vec![0.5; 70_000]], 66_000);
}

#[test]
fn special_values_have_places() {
    let special = [
        f32::NAN,
        0.0,
        -0.0,
        f32::INFINITY,
        -f32::NAN,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE / 4.0,
        -f32::MIN_POSITIVE / 8.0,
        f32::MAX,
        f32::MIN,
        f32::NAN,
        0.0,
    ];
    let two = [special.to_vec(), special[3..9].to_vec()];
    for k in 1..18 {
        check("special", &two, k);
    }
}

#[test]
fn long_lists_and_views() {
    // More blocks than a workgroup has invocations, whose ties are summed in turns.
    let n = 300 * 2048 + 5;
    let ties: Vec<f32> = (0..n).map(|i| (i % 3) as f32).collect();
    check("long", &[ties], n / 3 + 100_000);
    each_device(|device, dtype| {
        let x = Tensor::arange(12, device).to_dtype(dtype).reshape(&[3, 4]);
        let masks = top_k_masks(&[x.transpose(0, 1), Tensor::full(9.0, &[2], dtype, device)], 4);
        let masks: Vec<Vec<bool>> = masks.unwrap().iter().map(|m| m.to_vec().unwrap()).collect();
        let at = |mask: &[bool]| -> Vec<usize> { (0..mask.len()).filter(|&i| mask[i]).collect() };
        assert_eq!(at(&masks[0]), [5, 8, 11]);
        assert_eq!(at(&masks[1]), [0]);
    });
}
