//! Prunes a model function of your own with ProsPr, on batches of your own, then trains it.
use prospr::nn::{Batch, Function, Net, init::Init, linear};
use prospr::prelude::*;
use prospr::pruners::{Mask, MaskOptions, ProsPr, Pruner, Sparsity, Task};
use prospr::{optim::Sgd, train::Trainer};

fn model(w: &Params, x: &Tensor) -> Tensor {
    linear(&linear(x, &w["fc1"], None).relu(), &w["fc2"], None)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (device, dtype) = (Device::auto()?, DType::F32);
    let [k1, k2, key] = Key::new(0).split();
    let init = Init::KAIMING_NORMAL_FAN_IN;
    let (mut params, state) = (Params::new(), Params::new());
    params.insert("fc1", Role::Weight, init.draw(k1, &[64, 2], dtype, &device));
    params.insert("fc2", Role::Weight, init.draw(k2, &[2, 64], dtype, &device));
    let net: Net = std::sync::Arc::new(Function::new(params.clone(), model));

    // Batches of 32 points in the plane; the label is the index of the larger coordinate.
    let batch = |i: usize| -> Result<Batch, Error> {
        let images = key.fold_in(i as u64).normal(&[32, 2], dtype, &device);
        let labels = images.argmax(1, false);
        Ok(Batch { images, labels })
    };

    let (net, params, state) = (&net, &params, &state);
    let batches = &mut (0..4).flat_map(batch);
    let mut task = Task::new(net, params, state, batches, key);
    let scores = ProsPr::new(3, Sgd::new(0.1)).scores(&mut task)?;
    let mask = Mask::new(&scores, Sparsity::new(0.8)?, &MaskOptions::default())?;

    let mask = mask.tensors(dtype, &device)?;
    let trainer = Trainer::new(net, Sgd::new(0.1).momentum(0.9)).mask(mask);
    let trained = trainer.fit(params, state, 3, |_| (4..100).map(batch))?;
    println!("{:?}", trainer.evaluate(&trained, (100..120).map(batch))?);
    Ok(())
}
