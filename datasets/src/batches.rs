//! Batches of images: shuffled, decoded, augmented and normalised on all cores, ahead of the training loop.

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

/// Serves a split in batches.
///
/// The same key gives the same bits with any number of threads (`RAYON_NUM_THREADS` limits them). At most 4
/// batches are in
/// memory, or 19 if they are small: the queue of ready batches holds at most 64 MiB.
#[derive(Clone)]
pub struct Loader {
    /// The images to serve.
    pub split: Split,
    /// Per-channel mean and standard deviation.
    pub normalization: Normalization,
    /// Number of images per batch.
    pub batch_size: usize,
    /// Random augmentation of the images of [`Loader::epoch`].
    pub augment: Augment,
    /// Counter of damaged images, which are left out of their batches; if `None`, a damaged image is an error.
    pub skipped: Option<Arc<Skipped>>,
    /// Device of the batches.
    pub device: Device,
    /// Type of the images.
    pub dtype: DType,
}

/// Number of runs of neighbouring images that are shuffled together; see [`crate::ImageSource::run_length`].
const RUNS_SHUFFLED_TOGETHER: usize = 64;

/// Limit on the bytes of queued batches.
const QUEUED_BYTES: usize = 64 << 20;

/// Label of one image.
enum HostLabel {
    Class(i32),
    Pixels(Vec<i32>),
}

/// A batch in host memory.
pub(crate) struct HostBatch {
    pub images: usize,
    pub pixels: Pixels,
    pub labels: Vec<i32>,
}

/// Pixels of a batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Pixels {
    /// Augmented and normalised values.
    Normalized(Vec<f32>),
    /// Bytes as stored, and the augmentation that the GPU applies to them.
    Bytes(Vec<u8>, Vec<Moves>),
}

impl Loader {
    /// One pass in the random order of `key`; an incomplete last batch is left out.
    ///
    /// If the source reads images in runs of neighbours, first the runs are shuffled, then the images within each 64
    /// runs.
    pub fn epoch(&self, key: Key) -> Batches {
        self.epoch_from(key, 0)
    }

    /// The same pass, starting at batch number `first`.
    pub fn epoch_from(&self, key: Key, first: usize) -> Batches {
        let [order_key, augment_key] = key.split();
        let mut order = self.order(order_key);
        order.truncate(self.batches_per_epoch() * self.batch_size);
        self.start(order, first, Some(augment_key))
    }

    pub(crate) fn order(&self, key: Key) -> Vec<usize> {
        let (images, run) = (self.split.len(), self.split.source.run_length());
        if run == 1 {
            return key.permutation(images);
        }
        let runs = key.permutation(images.div_ceil(run));
        let mut order = Vec::with_capacity(images);
        for (number, runs) in runs.chunks(RUNS_SHUFFLED_TOGETHER).enumerate() {
            let run = |&at: &usize| at * run..((at + 1) * run).min(images);
            let together: Vec<usize> = runs.iter().flat_map(run).collect();
            let shuffled = key.fold_in(number as u64).permutation(together.len());
            order.extend(shuffled.into_iter().map(|at| together[at]));
        }
        order
    }

    /// Number of batches per [`Loader::epoch`].
    pub fn batches_per_epoch(&self) -> usize {
        self.split.len() / self.batch_size
    }

    /// One pass in the order of the data, without augmentation, including an incomplete last batch.
    pub fn in_order(&self) -> Batches {
        self.start((0..self.split.len()).collect(), 0, None)
    }

    pub(crate) fn start(&self, order: Vec<usize>, first: usize, draws: Option<Key>) -> Batches {
        let (send_made, made) = sync_channel(0);
        let bytes = 4 * self.batch_size * self.split.shape.iter().product::<usize>();
        let (send, batches) = sync_channel((QUEUED_BYTES / bytes.max(1)).clamp(1, 16));
        let (decoding, sending) = (self.clone(), self.clone());
        // Both threads end when the receiver is dropped.
        thread::spawn(move || {
            let batches = order.chunks(decoding.batch_size).enumerate();
            for (number, indices) in batches.skip(first) {
                let key = draws.map(|key| key.fold_in(number as u64));
                if send_made.send(decoding.make(indices, key)).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            for made in made {
                if send.send(made.and_then(|made| sending.batch(made))).is_err() {
                    return;
                }
            }
        });
        Batches { batches, waited: Duration::ZERO }
    }

    fn batch(&self, made: HostBatch) -> Result<Batch> {
        let ([c, h, w], n) = (self.split.shape, made.images);
        let shape = match made.labels.len() == n {
            true => vec![n],
            false => vec![n, h, w],
        };
        let images = match &made.pixels {
            Pixels::Normalized(pixels) => Tensor::new(pixels, &[n, c, h, w], &self.device)?,
            Pixels::Bytes(pixels, moves) => {
                images::Batch { pixels, shape: self.split.shape, moves, tables: &self.tables() }
                    .to_tensor(&self.device)?
            }
        };
        Ok(Batch {
            images: images.to_dtype(self.dtype),
            labels: Tensor::new(&made.labels, &shape, &self.device)?,
        })
    }

    /// Normalised value of each byte, by channel: `(byte/255 − mean)/std`.
    fn tables(&self) -> Vec<[f32; 256]> {
        let Normalization { mean, std } = &self.normalization;
        let table = |(mean, std): (&f32, &f32)| {
            let (factor, shift) = (1.0 / (255.0 * std), -mean / std);
            std::array::from_fn(|byte| byte as f32 * factor + shift)
        };
        mean.iter().zip(std).map(table).collect()
    }

    /// Prepares the images of the given indices. For a GPU they stay bytes, a quarter of the size of f32: the
    /// GPU augments
    /// and normalises them.
    pub(crate) fn make(&self, indices: &[usize], key: Option<Key>) -> Result<HostBatch> {
        if self.device.is_cpu() {
            let (shape, tables) = (self.split.shape, self.tables());
            let (pixels, _, labels) =
                self.filled(indices, key, |image, moves, out: &mut [f32]| {
                    moves.write(&image.pixels, shape, &tables, out);
                })?;
            return Ok(HostBatch {
                images: pixels.len() / shape.iter().product::<usize>(),
                pixels: Pixels::Normalized(pixels),
                labels,
            });
        }
        let copy = |image: &Image<'_>, _, out: &mut [u8]| out.copy_from_slice(&image.pixels);
        let (pixels, moves, labels) = self.filled(indices, key, copy)?;
        Ok(HostBatch { images: moves.len(), pixels: Pixels::Bytes(pixels, moves), labels })
    }

    /// Returns pixels, augmentation and labels of a batch; `write` stores one image in its slot.
    fn filled<T: Copy + Default + Send>(
        &self,
        indices: &[usize],
        key: Option<Key>,
        write: impl Fn(&Image<'_>, Moves, &mut [T]) + Sync,
    ) -> Result<(Vec<T>, Vec<Moves>, Vec<i32>)> {
        let size: usize = self.split.shape.iter().product();
        let mut pixels = vec![T::default(); indices.len() * size];
        let images: Vec<Result<(HostLabel, Moves)>> = pixels
            .par_chunks_exact_mut(size)
            .zip(indices)
            .enumerate()
            .map(|(place, (out, &index))| {
                let draws = key.map(|key| key.fold_in(place as u64).uniforms(self.augment.draws()));
                self.prepare(index, draws.as_deref(), |image, moves| write(image, moves, out))
            })
            .collect();
        let (mut labels, mut moved) = (Vec::new(), Vec::new());
        let mut ready = 0;
        for (place, image) in images.into_iter().enumerate() {
            match (image, &self.skipped) {
                (Ok((label, moves)), _) => {
                    match label {
                        HostLabel::Class(class) => labels.push(class),
                        HostLabel::Pixels(classes) => labels.extend(classes),
                    }
                    if place > ready {
                        pixels.copy_within(place * size..(place + 1) * size, ready * size);
                    }
                    moved.push(moves);
                    ready += 1;
                }
                (Err(error), Some(skipped)) if error.is_about_one_image() => skipped.add(&error),
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

    /// Reads and resizes an image, then passes it to `write` with its random augmentation.
    fn prepare(
        &self,
        index: usize,
        draws: Option<&[f32]>,
        write: impl FnOnce(&Image<'_>, Moves),
    ) -> Result<(HostLabel, Moves)> {
        let sample = self.split.sample(index)?;
        let [channels, height, width] = self.split.shape;
        if sample.image.channels != channels {
            return Err(Error::Format {
                name: self.split.source.name(index),
                expected: format!("{channels} channels"),
                found: sample.image.channels.to_string(),
            });
        }
        let moves = draws.map_or(Moves::default(), |draws| self.augment.moves(draws));
        let image = match (draws, &sample.label) {
            (Some(draws), Label::Class(_)) if self.augment.resized_crop => {
                let part = self.augment.part(&sample.image, draws);
                resize::bilinear(&sample.image, part, [height, width])
            }
            _ => self.split.fitted(index, sample.image)?,
        };
        write(&image, moves);
        let ready = match sample.label {
            Label::Class(class) => HostLabel::Class(class as i32),
            Label::Pixels(classes) => {
                let classes = resize::nearest(&classes, [height, width]);
                let mut out = vec![0; height * width];
                let table = std::array::from_fn(|class| class as i32);
                moves.write(&classes.pixels, [1, height, width], &[table], &mut out);
                HostLabel::Pixels(out)
            }
        };
        Ok((ready, moves))
    }
}

/// Iterator over batches. Dropping it ends the worker threads.
pub struct Batches {
    batches: Receiver<Result<Batch>>,
    waited: Duration,
}

impl Batches {
    /// Total time that [`Iterator::next`] has waited for a batch.
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
