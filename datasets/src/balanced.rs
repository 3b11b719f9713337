//! Class-balanced batches: the same number of images of each class, ordered by class.

use prospr_engine::Key;

use crate::{Batches, Error, Loader, Result};

/// Loader of batches with the same number of images of each class.
pub struct Balanced {
    loader: Loader,
    per_class: usize,
    /// Indices of the images of each class.
    classes: Vec<Vec<usize>>,
}

impl Loader {
    /// Returns a loader of class-balanced batches with `per_class` images of each of `classes` classes;
    /// [`Loader::batch_size`] is not used. Reads the labels of all images.
    ///
    /// # Errors
    /// [`Error::Class`] if a class has fewer images; [`Error::NoClasses`] if labels are per pixel; errors of the
    /// source.
    pub fn balanced(&self, classes: usize, per_class: usize) -> Result<Balanced> {
        let mut images = vec![Vec::new(); classes];
        for index in 0..self.split.len() {
            let name = || self.split.source.name(index);
            let class = self.split.source.class(index)?;
            let class = class.ok_or_else(|| Error::NoClasses { name: name() })?;
            let of_class = images.get_mut(class).ok_or_else(|| Error::Format {
                name: name(),
                expected: format!("a class below {classes}"),
                found: class.to_string(),
            })?;
            of_class.push(index);
        }
        let few = images.iter().position(|images| images.len() < per_class);
        if let Some(class) = few {
            return Err(Error::Class { class, found: images[class].len(), needed: per_class });
        }
        let loader = Loader { batch_size: per_class * classes, ..self.clone() };
        Ok(Balanced { loader, per_class, classes: images })
    }
}

impl Balanced {
    /// One pass in the random order of `key`. It ends when the smallest class has no images left.
    pub fn epoch(&self, key: Key) -> Batches {
        let [order, draws] = key.split();
        let shuffled = self.classes.iter().zip(0..).map(|(images, class)| {
            let order = order.fold_in(class).permutation(images.len());
            order.into_iter().map(|at| images[at]).collect()
        });
        let shuffled: Vec<Vec<usize>> = shuffled.collect();
        let smallest = shuffled.iter().map(Vec::len).min().unwrap_or(0);
        let batches = smallest / self.per_class;
        let batch = |b: usize| b * self.per_class..(b + 1) * self.per_class;
        let order = (0..batches)
            .flat_map(|b| shuffled.iter().flat_map(move |images| &images[batch(b)]))
            .copied()
            .collect();
        self.loader.start(order, 0, Some(draws))
    }
}

#[cfg(test)]
mod tests {
    use prospr_engine::{DType, Device, Key};

    use crate::{Augment, Error, InMemory, Loader, Normalization, Split};

    /// Images of one pixel, whose value is the index of the image.
    fn loader(labels: &[u16]) -> Loader {
        let source = InMemory {
            name: "test".into(),
            images: (0..labels.len() as u8).collect(),
            labels: labels.to_vec(),
            shape: [1, 1, 1],
        };
        Loader {
            split: Split::new(source, [1, 1, 1]),
            normalization: Normalization { mean: vec![0.0], std: vec![1.0 / 255.0] },
            batch_size: 1,
            augment: Augment::default(),
            skipped: None,
            device: Device::cpu(),
            dtype: DType::F32,
        }
    }

    #[test]
    fn batches_have_equally_many_images_of_each_class() {
        let loader = loader(&[2, 0, 1, 1, 0, 2, 0, 1, 2, 2, 0]);
        let batches = |seed| -> Vec<(Vec<f64>, Vec<f64>)> {
            let balanced = loader.balanced(3, 1).unwrap();
            let batches = balanced.epoch(Key::new(seed)).map(Result::unwrap);
            let read = batches.map(|b| (b.images.to_f64s().unwrap(), b.labels.to_f64s().unwrap()));
            read.collect()
        };
        let first = batches(1);
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|(_, labels)| *labels == [0.0, 1.0, 2.0]));
        let mut images: Vec<i64> =
            first.iter().flat_map(|(i, _)| i).map(|&p| p.round() as i64).collect();
        images.sort_unstable();
        images.dedup();
        assert_eq!(images.len(), 9);
        assert!(first == batches(1) && first != batches(2));
        let two = loader.balanced(3, 2).unwrap().epoch(Key::new(1)).count();
        assert_eq!(two, 1);
    }

    #[test]
    fn empty_and_small_classes_are_errors() {
        let error = |per_class| loader(&[0, 0, 2, 2]).balanced(3, per_class).err().unwrap();
        let empty = error(1).to_string();
        assert!(empty.contains("class 1 has 0 images"), "{empty}");
        let small = loader(&[0, 0, 1]).balanced(2, 2).err().unwrap();
        assert!(matches!(small, Error::Class { class: 1, found: 1, needed: 2 }));
        let beyond = loader(&[0, 5]).balanced(2, 1).err().unwrap().to_string();
        assert!(beyond.contains("a class below 2"), "{beyond}");
    }
}
