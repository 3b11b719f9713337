//! Loaders: the same bits with any number of threads and with packs, and bounded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prospr_engine::Key;

use super::*;
use crate::batches::Pixels;
use crate::{Image, ImageSource, Normalization, Result, Sample, load};

#[test]
fn threads_and_packs_do_not_change_a_bit() {
    let root = Folder::new();
    imagenet(&root, 5, [9, 1]);
    let data = load("imagenet", Some(root.path())).unwrap();
    let cache = root.path().join("cache");
    let files = loader(&data, 10);
    let expected = values(files.epoch(Key::new(7)));
    assert_eq!(expected.len(), 4);
    let [order, draws] = Key::new(7).split();
    let order = files.order(order);
    let make = |(n, indices): (usize, &[usize])| {
        let key = Some(draws.fold_in(n as u64));
        files.make(indices, key).unwrap()
    };
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let batches: Vec<_> = pool
            .build()
            .unwrap()
            .install(|| order.chunks(10).take(4).enumerate().map(make).collect());
        for (batch, (images, labels)) in batches.iter().zip(&expected) {
            let pixels = Pixels::Normalized(images.clone());
            assert!(batch.pixels == pixels && &batch.labels == labels);
        }
    }
    let packed = loader(&data.clone().packed(&cache).unwrap(), 10);
    // The original files are moved away, so only the pack can be read.
    std::fs::rename(root.path().join("train"), root.path().join("away")).unwrap();
    assert!(values(packed.epoch(Key::new(7))) == expected);
    assert!(values(packed.epoch_from(Key::new(7), 2)) == expected[2..]);
    assert!(files.epoch(Key::new(7)).next().unwrap().is_err());
}

/// A source that counts its reads and has runs of a given length.
struct Counted {
    reads: Arc<AtomicUsize>,
    run: usize,
}

impl ImageSource for Counted {
    fn len(&self) -> usize {
        10_000
    }

    fn sample(&self, index: usize) -> Result<Sample<'_>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(Sample {
            image: Image { pixels: vec![0].into(), height: 1, width: 1, channels: 1 },
            label: Label::Class(index),
        })
    }

    fn name(&self, index: usize) -> String {
        index.to_string()
    }

    fn run_length(&self) -> usize {
        self.run
    }
}

fn counted(run: usize) -> (Arc<AtomicUsize>, Loader) {
    let reads = Arc::new(AtomicUsize::new(0));
    let source = Counted { reads: reads.clone(), run };
    let loader = Loader {
        split: Split::new(source, [1, 1, 1]),
        normalization: Normalization { mean: vec![0.0], std: vec![1.0] },
        batch_size: 100,
        augment: Augment::default(),
        skipped: None,
        device: Device::cpu(),
        dtype: DType::F32,
    };
    (reads, loader)
}

#[test]
fn the_queue_of_batches_is_bounded() {
    let (reads, loader) = counted(1);
    let mut batches = loader.epoch(Key::new(0));
    batches.next().unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let read = reads.load(Ordering::SeqCst);
    assert!((100..=1900).contains(&read), "{read} images were read");
    drop(batches);
    std::thread::sleep(Duration::from_millis(50));
    assert!(reads.load(Ordering::SeqCst) <= read + 200, "the worker did not stop");
}

#[test]
fn every_image_comes_once_and_runs_stay_together() {
    for run in [1, 16] {
        let (_, loader) = counted(run);
        let order: Vec<i32> =
            values(loader.epoch(Key::new(5))).into_iter().flat_map(|(_, labels)| labels).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10_000).collect::<Vec<_>>());
        // The first 1024 images come from 64 runs.
        let mut runs: Vec<i32> = order[..1024].iter().map(|i| i / 16).collect();
        runs.sort_unstable();
        runs.dedup();
        assert_eq!(runs.len() == 64, run == 16);
        // They are shuffled within those runs.
        let steps = order.windows(2).filter(|w| w[1] == w[0] + 1).count();
        assert!(steps < 30, "{steps}");
    }
}
