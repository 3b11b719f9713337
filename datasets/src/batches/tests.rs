use super::*;
use crate::mnist5k;

fn loader() -> Loader {
    let data = mnist5k();
    Loader {
        split: data.test,
        normalization: data.normalization,
        batch_size: 300,
        augment: Augment { crop_padding: 2, ..Augment::default() },
        skipped: None,
        device: Device::cpu(),
        dtype: DType::F32,
    }
}

#[test]
fn an_epoch_is_a_seeded_shuffle() {
    let labels = |key: u64| -> Vec<Vec<i32>> {
        loader().epoch(Key::new(key)).map(|b| b.unwrap().labels.to_vec::<i32>().unwrap()).collect()
    };
    assert_eq!(labels(1), labels(1));
    assert_ne!(labels(1), labels(2));
    assert_eq!(labels(1).iter().map(Vec::len).collect::<Vec<_>>(), [300, 300, 300]);
}

#[test]
fn a_pass_can_start_at_any_batch() {
    let pixels = |batches: Batches| -> Vec<Vec<f32>> {
        batches.map(|b| b.unwrap().images.to_vec::<f32>().unwrap()).collect()
    };
    let (key, loader) = (Key::new(5), loader());
    assert_eq!(pixels(loader.epoch(key))[1..], pixels(loader.epoch_from(key, 1)));
    assert_eq!(loader.batches_per_epoch(), 3);
}

#[test]
fn a_gpu_augments_to_the_same_bits() {
    let values = |device: &Device| -> Vec<Vec<f32>> {
        let mut loader = Loader { device: device.clone(), ..loader() };
        loader.augment.flip = true;
        let batches = loader.epoch(Key::new(3)).chain(loader.in_order());
        batches.map(|b| b.unwrap().images.to_vec::<f32>().unwrap()).collect()
    };
    let gpu = Device::gpu().expect("the tests need a GPU, which may be lavapipe");
    assert!(values(&Device::cpu()) == values(&gpu));
}

#[test]
fn batches_in_order_hold_all_images_normalised() {
    let batches: Vec<Batch> = loader().in_order().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|b| b.labels.numel()).collect::<Vec<_>>(), [300, 300, 300, 100]);
    let labels: Vec<i32> = batches.iter().flat_map(|b| b.labels.to_vec::<i32>().unwrap()).collect();
    let split = loader().split;
    for (index, &label) in labels.iter().enumerate() {
        let expected = Label::Class(label as usize);
        assert_eq!(split.sample(index).unwrap().label, expected);
    }
    let mean = batches[0].images.mean().item().unwrap();
    let var = batches[0].images.var_axes(&[], 0, false).item().unwrap();
    assert!(mean.abs() < 0.1 && (var - 1.0).abs() < 0.15, "mean {mean}, variance {var}");
}
