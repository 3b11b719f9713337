//! Prunes your own network with ProsPr, on your own batches, and trains it.
use prospr::nn::{Batch, Net, Scope};
use prospr::prelude::*;
use prospr::pruners::{Mask, MaskOptions, ProsPr, Pruner, Sparsity, Task};
use prospr::{optim::Sgd, train::Trainer};

fn model(s: &Scope, x: &Tensor) -> Tensor {
    let x = s.at("fc1").linear(x, 64);
    let x = s.at("bn1").batch_norm(&x).relu();
    s.at("fc2").linear(&x, 2)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (device, dtype) = (Device::auto()?, DType::F32);
    let [init, key] = Key::new(0).split();
    let net: Net = std::sync::Arc::new(model);
    let (params, state) = &net.init(init, &[2], dtype, &device);

    // Batches of 32 points in the plane; the label is the index of the larger coordinate.
    let batch = |i: usize| -> Result<Batch, Error> {
        let images = key.fold_in(i as u64).normal(&[32, 2], dtype, &device);
        let labels = images.argmax(1, false);
        Ok(Batch { images, labels })
    };

    let batches = &mut (0..4).flat_map(batch);
    let mut task = Task::new(&net, params, state, batches, key);
    let scores = ProsPr::new(3, Sgd::new(0.1)).scores(&mut task)?;
    let mask = Mask::new(&scores, Sparsity::new(0.8)?, &MaskOptions::default())?;

    let mask = mask.tensors(dtype, &device)?;
    let trainer = Trainer::new(&net, Sgd::new(0.1).momentum(0.9)).mask(mask);
    let trained = trainer.fit(params, state, 3, |_| (4..100).map(batch))?;
    println!("{:?}", trainer.evaluate(&trained, (100..120).map(batch))?);
    Ok(())
}
