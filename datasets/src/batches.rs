//! Batches: shuffled, augmented and normalised on a worker thread, one ahead of the training.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use prospr_engine::nn::Batch;
use prospr_engine::{DType, Device, Key, Tensor};

use crate::{Augment, Normalization, Result, Split};

/// How a split is served in batches.
#[derive(Clone, Debug)]
pub struct Loader {
    /// What to serve.
    pub split: Split,
    /// What is subtracted and divided by.
    pub normalization: Normalization,
    /// Images a batch.
    pub batch_size: usize,
    /// What is done at random to the images of [`Loader::epoch`].
    pub augment: Augment,
    /// Where the batches go.
    pub device: Device,
    /// The type of the images.
    pub dtype: DType,
}

impl Loader {
    /// One pass in the random order of `key`; what does not fill a batch at the end is left out.
    pub fn epoch(&self, key: Key) -> Batches {
        self.epoch_from(key, 0)
    }

    /// The same pass from its batch number `first` on.
    pub fn epoch_from(&self, key: Key, first: usize) -> Batches {
        let [order_key, dice_key] = key.split();
        let mut order = order_key.permutation(self.split.len());
        order.truncate(self.batches_per_epoch() * self.batch_size);
        self.start(order, first, Some(dice_key))
    }

    /// How many batches [`Loader::epoch`] gives.
    pub fn batches_per_epoch(&self) -> usize {
        self.split.len() / self.batch_size
    }

    /// One pass in the order of the data, without augmentation, the rest included.
    pub fn in_order(&self) -> Batches {
        self.start((0..self.split.len()).collect(), 0, None)
    }

    fn start(&self, order: Vec<usize>, first: usize, dice: Option<Key>) -> Batches {
        let (send, batches) = sync_channel(2);
        let loader = self.clone();
        thread::spawn(move || {
            let batches = order.chunks(loader.batch_size).enumerate();
            for (number, indices) in batches.skip(first) {
                let batch = loader.make(indices, dice.map(|key| key.fold_in(number as u64)));
                if send.send(batch).is_err() {
                    return; // nobody listens any more
                }
            }
        });
        Batches { batches }
    }

    fn make(&self, indices: &[usize], dice: Option<Key>) -> Result<Batch> {
        let [c, h, w] = self.split.shape;
        let scale: Vec<(f32, f32)> = self
            .normalization
            .mean
            .iter()
            .zip(&self.normalization.std)
            .map(|(mean, std)| (1.0 / (255.0 * std), -mean / std))
            .collect();
        let rolled = match dice {
            Some(key) => key.uniforms(3 * indices.len()),
            None => vec![0.0; 3 * indices.len()],
        };
        let augment = if dice.is_some() {
            self.augment
        } else {
            Augment::default()
        };
        let mut pixels = Vec::with_capacity(indices.len() * c * h * w);
        for (&index, dice) in indices.iter().zip(rolled.chunks_exact(3)) {
            augment.push(
                &self.split,
                index,
                [dice[0], dice[1], dice[2]],
                &scale,
                &mut pixels,
            );
        }
        let labels: Vec<i32> = indices
            .iter()
            .map(|&i| i32::from(self.split.labels[i]))
            .collect();
        let images =
            Tensor::new(&pixels, &[indices.len(), c, h, w], &self.device)?.to_dtype(self.dtype);
        Ok(Batch {
            images,
            labels: Tensor::new(&labels, &[indices.len()], &self.device)?,
        })
    }
}

/// Batches as they come. Dropping it ends the worker.
pub struct Batches {
    batches: Receiver<Result<Batch>>,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mnist5k;

    fn loader() -> Loader {
        let data = mnist5k();
        Loader {
            split: data.test,
            normalization: data.normalization,
            batch_size: 300,
            augment: Augment {
                crop_padding: 2,
                flip: false,
            },
            device: Device::cpu(),
            dtype: DType::F32,
        }
    }

    #[test]
    fn an_epoch_is_a_seeded_shuffle() {
        let labels = |key: u64| -> Vec<Vec<i32>> {
            loader()
                .epoch(Key::new(key))
                .map(|b| b.unwrap().labels.to_vec::<i32>().unwrap())
                .collect()
        };
        assert_eq!(labels(1), labels(1));
        assert_ne!(labels(1), labels(2));
        assert_eq!(
            labels(1).iter().map(Vec::len).collect::<Vec<_>>(),
            [300, 300, 300]
        );
    }

    #[test]
    fn a_pass_can_start_at_any_batch() {
        let pixels = |batches: Batches| -> Vec<Vec<f32>> {
            batches
                .map(|b| b.unwrap().images.to_vec::<f32>().unwrap())
                .collect()
        };
        let (key, loader) = (Key::new(5), loader());
        assert_eq!(
            pixels(loader.epoch(key))[1..],
            pixels(loader.epoch_from(key, 1))
        );
        assert_eq!(loader.batches_per_epoch(), 3);
    }

    #[test]
    fn batches_in_order_hold_everything_normalised() {
        let batches: Vec<Batch> = loader().in_order().map(Result::unwrap).collect();
        assert_eq!(
            batches.iter().map(|b| b.labels.numel()).collect::<Vec<_>>(),
            [300, 300, 300, 100]
        );
        let labels: Vec<i32> = batches
            .iter()
            .flat_map(|b| b.labels.to_vec::<i32>().unwrap())
            .collect();
        assert!(
            labels
                .iter()
                .zip(loader().split.labels.iter())
                .all(|(a, b)| *a == i32::from(*b))
        );
        let mean = batches[0].images.mean().item().unwrap();
        let var = batches[0].images.var_axes(&[], 0, false).item().unwrap();
        assert!(
            mean.abs() < 0.1 && (var - 1.0).abs() < 0.15,
            "mean {mean}, variance {var}"
        );
    }
}
