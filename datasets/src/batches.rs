//! Batches: shuffled, decoded, augmented and normalised by all cores, ahead of the training.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use prospr_engine::nn::Batch;
use prospr_engine::{DType, Device, Key, Tensor};
use rayon::prelude::*;

use crate::augment::Moves;
use crate::{Augment, Error, Label, Normalization, Result, Skipped, Split, resize};

/// How a split is served in batches.
///
/// The same key gives the same bits, whatever the number of threads (`RAYON_NUM_THREADS` limits them). Four batches are
/// in memory at most, or 19 if they are small: no more than 64 MiB wait beside the two that are being made.
#[derive(Clone)]
pub struct Loader {
    /// What to serve.
    pub split: Split,
    /// What is subtracted and divided by.
    pub normalization: Normalization,
    /// Images a batch.
    pub batch_size: usize,
    /// What is done at random to the images of [`Loader::epoch`].
    pub augment: Augment,
    /// Where damaged images are counted, which are left out of their batches then; without it they are errors.
    pub skipped: Option<Arc<Skipped>>,
    /// Where the batches go.
    pub device: Device,
    /// The type of the images.
    pub dtype: DType,
}

/// Runs of neighbours that are shuffled together; see [`crate::Source::run`].
const RUNS: usize = 64;

/// Bytes of small batches that may wait for the training.
const WAITING: usize = 64 << 20;

/// What is known of an image once its pixels are in the batch.
enum Ready {
    Class(i32),
    Pixels(Vec<i32>),
}

/// A batch on the host.
pub(crate) struct Made {
    pub images: usize,
    pub pixels: Vec<f32>,
    pub labels: Vec<i32>,
}

impl Loader {
    /// One pass in the random order of `key`; what does not fill a batch at the end is left out.
    ///
    /// Where images are read in runs of neighbours, the runs are shuffled, and then the images of each 64 runs.
    pub fn epoch(&self, key: Key) -> Batches {
        self.epoch_from(key, 0)
    }

    /// The same pass from its batch number `first` on.
    pub fn epoch_from(&self, key: Key, first: usize) -> Batches {
        let [order_key, dice_key] = key.split();
        let mut order = self.order(order_key);
        order.truncate(self.batches_per_epoch() * self.batch_size);
        self.start(order, first, Some(dice_key))
    }

    pub(crate) fn order(&self, key: Key) -> Vec<usize> {
        let (images, run) = (self.split.len(), self.split.source.run());
        if run == 1 {
            return key.permutation(images);
        }
        let runs = key.permutation(images.div_ceil(run));
        let mut order = Vec::with_capacity(images);
        for (number, runs) in runs.chunks(RUNS).enumerate() {
            let run = |&at: &usize| at * run..((at + 1) * run).min(images);
            let together: Vec<usize> = runs.iter().flat_map(run).collect();
            let shuffled = key.fold_in(number as u64).permutation(together.len());
            order.extend(shuffled.into_iter().map(|at| together[at]));
        }
        order
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
        let (send_made, made) = sync_channel(0);
        let bytes = 4 * self.batch_size * self.split.shape.iter().product::<usize>();
        let (send, batches) = sync_channel((WAITING / bytes.max(1)).clamp(1, 16));
        let (decoding, sending) = (self.clone(), self.clone());
        // They end when nobody listens any more.
        thread::spawn(move || {
            let batches = order.chunks(decoding.batch_size).enumerate();
            for (number, indices) in batches.skip(first) {
                let key = dice.map(|key| key.fold_in(number as u64));
                if send_made.send(decoding.make(indices, key)).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            for made in made {
                if send
                    .send(made.and_then(|made| sending.batch(made)))
                    .is_err()
                {
                    return;
                }
            }
        });
        Batches {
            batches,
            waited: Duration::ZERO,
        }
    }

    fn batch(&self, made: Made) -> Result<Batch> {
        let ([c, h, w], n) = (self.split.shape, made.images);
        let shape = match made.labels.len() == n {
            true => vec![n],
            false => vec![n, h, w],
        };
        let images = Tensor::new(&made.pixels, &[n, c, h, w], &self.device)?;
        Ok(Batch {
            images: images.to_dtype(self.dtype),
            labels: Tensor::new(&made.labels, &shape, &self.device)?,
        })
    }

    /// What each byte of a channel becomes: `(byte/255 − mean)/std`.
    fn tables(&self) -> Vec<[f32; 256]> {
        let Normalization { mean, std } = &self.normalization;
        let table = |(mean, std): (&f32, &f32)| {
            let (factor, shift) = (1.0 / (255.0 * std), -mean / std);
            std::array::from_fn(|byte| byte as f32 * factor + shift)
        };
        mean.iter().zip(std).map(table).collect()
    }

    pub(crate) fn make(&self, indices: &[usize], key: Option<Key>) -> Result<Made> {
        let [c, h, w] = self.split.shape;
        let tables = self.tables();
        let mut pixels = vec![0.0; indices.len() * c * h * w];
        let images: Vec<Result<Ready>> = pixels
            .par_chunks_exact_mut(c * h * w)
            .zip(indices)
            .enumerate()
            .map(|(place, (out, &index))| {
                let dice = key.map(|key| key.fold_in(place as u64).uniforms(self.augment.dice()));
                self.prepare(index, dice.as_deref(), &tables, out)
            })
            .collect();
        let mut labels = Vec::new();
        let mut ready = 0;
        for (place, image) in images.into_iter().enumerate() {
            match (image, &self.skipped) {
                (Ok(label), _) => {
                    match label {
                        Ready::Class(class) => labels.push(class),
                        Ready::Pixels(classes) => labels.extend(classes),
                    }
                    if place > ready {
                        let size = c * h * w;
                        pixels.copy_within(place * size..(place + 1) * size, ready * size);
                    }
                    ready += 1;
                }
                (Err(error), Some(skipped)) if error.is_of_an_image() => skipped.add(&error),
                (Err(error), _) => return Err(error),
            }
        }
        if ready == 0 {
            return Err(Error::AllSkipped {
                first: self.split.source.name(indices[0]),
                images: indices.len(),
            });
        }
        pixels.truncate(ready * c * h * w);
        Ok(Made {
            images: ready,
            pixels,
            labels,
        })
    }

    /// Writes an image as the network sees it.
    fn prepare(
        &self,
        index: usize,
        dice: Option<&[f32]>,
        tables: &[[f32; 256]],
        out: &mut [f32],
    ) -> Result<Ready> {
        let sample = self.split.sample(index)?;
        let [channels, height, width] = self.split.shape;
        if sample.image.channels != channels {
            return Err(Error::Format {
                name: self.split.source.name(index),
                expected: format!("{channels} channels"),
                found: sample.image.channels.to_string(),
            });
        }
        let moves = dice.map_or(Moves::default(), |dice| self.augment.moves(dice));
        let image = match (dice, &sample.label) {
            (Some(dice), Label::Class(_)) if self.augment.resized_crop => {
                let part = self.augment.part(&sample.image, dice);
                resize::bilinear(&sample.image, part, [height, width])
            }
            _ => self.split.fitted(index, sample.image)?,
        };
        moves.write(&image, tables, out);
        Ok(match sample.label {
            Label::Class(class) => Ready::Class(class as i32),
            Label::Pixels(classes) => {
                let classes = resize::nearest(&classes, [height, width]);
                let mut out = vec![0; height * width];
                let table = std::array::from_fn(|class| class as i32);
                moves.write(&classes, &[table], &mut out);
                Ready::Pixels(out)
            }
        })
    }
}

/// Batches as they come. Dropping it ends the worker.
pub struct Batches {
    batches: Receiver<Result<Batch>>,
    waited: Duration,
}

impl Batches {
    /// How long [`Iterator::next`] has waited for data that was not ready.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batches.try_recv() {
            Ok(batch) => Some(batch),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                let start = Instant::now();
                let batch = self.batches.recv().ok();
                self.waited += start.elapsed();
                batch
            }
        }
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
                ..Augment::default()
            },
            skipped: None,
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
        let split = loader().split;
        for (index, &label) in labels.iter().enumerate() {
            let expected = Label::Class(label as usize);
            assert_eq!(split.sample(index).unwrap().label, expected);
        }
        let mean = batches[0].images.mean().item().unwrap();
        let var = batches[0].images.var_axes(&[], 0, false).item().unwrap();
        assert!(
            mean.abs() < 0.1 && (var - 1.0).abs() < 0.15,
            "mean {mean}, variance {var}"
        );
    }
}
