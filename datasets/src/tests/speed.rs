//! Loose speed limits that hold on any machine in an unoptimised build; `prospr data bench` measures precisely.

use std::time::{Duration, Instant};

use prospr_engine::Key;

use super::*;
use crate::cifar::{Cifar, Part};
use crate::load;

/// Images per second, and the share of time that a training loop with steps of duration `step` waits for batches.
fn measure(loader: &Loader, step: Duration) -> (f64, f64) {
    let mut batches = loader.epoch(Key::new(1));
    batches.next().unwrap().unwrap();
    let (start, before) = (Instant::now(), batches.waited());
    let mut images = 0;
    for batch in batches.by_ref() {
        images += batch.unwrap().images.shape()[0];
        std::thread::sleep(step);
    }
    let seconds = start.elapsed().as_secs_f64();
    let waited = (batches.waited() - before).as_secs_f64();
    (images as f64 / seconds, waited / seconds)
}

#[test]
fn loaders_keep_up() {
    let root = Folder::new();
    // 2000 files made from a few different images of ImageNet's usual size.
    let photographs: Vec<Vec<u8>> = (0..4).map(|seed| jpeg(500, 375, seed)).collect();
    for index in 0..2000 {
        let (class, photograph) = (index % 10, &photographs[index % 4]);
        root.write(&format!("train/c{class}/{index}.JPEG"), photograph);
    }
    for class in 0..10 {
        root.write(&format!("val/c{class}/0.JPEG"), &photographs[0]);
    }
    let data = load("imagenet", Some(root.path())).unwrap();
    let pixels: Vec<u8> = (0..20_000 * 3072).map(|i| (i % 251) as u8).collect();
    let part = Part { name: "made".into(), pixels, labels: (0..20_000).map(|i| i % 10).collect() };
    let part = std::slice::from_ref(&part);
    let cifar = Cifar::Ten.from_parts(part, part).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    for (data, size, least) in [(&data, 50, 20.0 * cores), (&cifar, 256, 3000.0)] {
        let loader = loader(data, size);
        let (rate, _) = measure(&loader, Duration::ZERO);
        let step = Duration::from_secs_f64(2.0 * size as f64 / rate);
        let (_, waited) = measure(&loader, step);
        println!(
            "{}: {rate:.0} images/s on {cores} cores; at half of that, {:.1} % of the time is waiting",
            data.name,
            100.0 * waited
        );
        assert!(rate > least, "{}: {rate} images/s", data.name);
        assert!(waited < 0.3, "{}: waits {waited}", data.name);
    }
}
