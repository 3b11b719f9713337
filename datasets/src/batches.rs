//! Batches: shuffled, decoded, augmented and normalised by all cores, ahead of the training.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use prospr_engine::images::{self, Moves};
use prospr_engine::{DType, Device, Key, Tensor};
use prospr_nn::nn::Batch;
use rayon::prelude::*;

use crate::{Augment, Error, Image, Label, Normalization, Result, Skipped, Split, resize};

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
    pub pixels: Pixels,
    pub labels: Vec<i32>,
}

/// The images of a batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Pixels {
    /// As the network sees them.
    Ready(Vec<f32>),
    /// As they were read, with what a GPU still has to do.
    Bytes(Vec<u8>, Vec<Moves>),
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

    pub(crate) fn start(&self, order: Vec<usize>, first: usize, dice: Option<Key>) -> Batches {
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
        let images = match &made.pixels {
            Pixels::Ready(pixels) => Tensor::new(pixels, &[n, c, h, w], &self.device)?,
            Pixels::Bytes(pixels, moves) => images::Batch {
                pixels,
                shape: self.split.shape,
                moves,
                tables: &self.tables(),
            }
            .to_tensor(&self.device)?,
        };
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

    /// The images of these indices. A GPU augments and normalises by itself: it takes a quarter of the bytes.
    pub(crate) fn make(&self, indices: &[usize], key: Option<Key>) -> Result<Made> {
        if self.device.is_cpu() {
            let (shape, tables) = (self.split.shape, self.tables());
            let (pixels, _, labels) =
                self.filled(indices, key, |image, moves, out: &mut [f32]| {
                    moves.write(&image.pixels, shape, &tables, out);
                })?;
            return Ok(Made {
                images: pixels.len() / shape.iter().product::<usize>(),
                pixels: Pixels::Ready(pixels),
                labels,
            });
        }
        let copy = |image: &Image<'_>, _, out: &mut [u8]| out.copy_from_slice(&image.pixels);
        let (pixels, moves, labels) = self.filled(indices, key, copy)?;
        Ok(Made {
            images: moves.len(),
            pixels: Pixels::Bytes(pixels, moves),
            labels,
        })
    }

    /// Pixels, moves and labels of a batch; `write` puts an image to its place.
    fn filled<T: Copy + Default + Send>(
        &self,
        indices: &[usize],
        key: Option<Key>,
        write: impl Fn(&Image<'_>, Moves, &mut [T]) + Sync,
    ) -> Result<(Vec<T>, Vec<Moves>, Vec<i32>)> {
        let size: usize = self.split.shape.iter().product();
        let mut pixels = vec![T::default(); indices.len() * size];
        let images: Vec<Result<(Ready, Moves)>> = pixels
            .par_chunks_exact_mut(size)
            .zip(indices)
            .enumerate()
            .map(|(place, (out, &index))| {
                let dice = key.map(|key| key.fold_in(place as u64).uniforms(self.augment.dice()));
                self.prepare(index, dice.as_deref(), |image, moves| {
                    write(image, moves, out)
                })
            })
            .collect();
        let (mut labels, mut moved) = (Vec::new(), Vec::new());
        let mut ready = 0;
        for (place, image) in images.into_iter().enumerate() {
            match (image, &self.skipped) {
                (Ok((label, moves)), _) => {
                    match label {
                        Ready::Class(class) => labels.push(class),
                        Ready::Pixels(classes) => labels.extend(classes),
                    }
                    if place > ready {
                        pixels.copy_within(place * size..(place + 1) * size, ready * size);
                    }
                    moved.push(moves);
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
        pixels.truncate(ready * size);
        Ok((pixels, moved, labels))
    }

    /// Reads an image, brings it to size, and hands it to `write` with the moves that are drawn for it.
    fn prepare(
        &self,
        index: usize,
        dice: Option<&[f32]>,
        write: impl FnOnce(&Image<'_>, Moves),
    ) -> Result<(Ready, Moves)> {
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
        write(&image, moves);
        let ready = match sample.label {
            Label::Class(class) => Ready::Class(class as i32),
            Label::Pixels(classes) => {
                let classes = resize::nearest(&classes, [height, width]);
                let mut out = vec![0; height * width];
                let table = std::array::from_fn(|class| class as i32);
                moves.write(&classes.pixels, [1, height, width], &[table], &mut out);
                Ready::Pixels(out)
            }
        };
        Ok((ready, moves))
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
