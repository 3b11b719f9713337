//! Sanity checks of masks: Frankle, Dziugaite, Roy and Carbin, "Pruning neural networks at initialization: why are we
//! missing the mark?", ICLR 2021, section 5. The third check, new weights under the same mask, is part of training.

use prospr_engine::{Key, Params, Tree};

use crate::{Mask, MaskLayer};

impl Mask {
    /// The mask with the kept weights of each layer at random places. A method does better than this if its choice of
    /// weights matters, and not only its density for each layer.
    pub fn shuffled(&self, key: Key) -> Mask {
        let layer = |(layer, index): (&MaskLayer, u64)| {
            let places = key.fold_in(index).permutation(layer.keep.len());
            MaskLayer {
                keep: places.into_iter().map(|at| layer.keep[at]).collect(),
                ..layer.clone()
            }
        };
        Mask::from_layers(self.layers().iter().zip(0..).map(layer).collect())
    }
}

/// Negated scores: a mask of them keeps the lowest original scores. A method does better than this if the order of its
/// scores matters.
pub fn inverted(scores: &Params) -> Params {
    scores.map_leaves(|score| -score)
}

#[cfg(test)]
mod tests {
    use prospr_engine::{Device, Key, Params, Role, Tensor};

    use crate::{Mask, MaskOptions, Sparsity, inverted};

    fn scores() -> Params {
        let mut scores = Params::new();
        for (name, layer) in [("a", 0..400), ("b", 400..500)] {
            let values: Vec<f32> = layer.map(|i| i as f32).collect();
            let tensor = Tensor::new(&values, &[values.len()], &Device::cpu()).unwrap();
            scores.insert(name, Role::Weight, tensor);
        }
        scores
    }

    #[test]
    fn shuffles_keep_the_count_of_each_layer() {
        let sparsity = Sparsity::new(0.6).unwrap();
        let mask = Mask::new(&scores(), sparsity, &MaskOptions::default()).unwrap();
        let shuffled = mask.shuffled(Key::new(1));
        let counts = |mask: &Mask| mask.layers().iter().map(|l| l.kept()).collect::<Vec<_>>();
        assert_eq!(counts(&mask), [100, 100]);
        assert_eq!(counts(&shuffled), [100, 100]);
        // A quarter of the first layer's 100 is where it was, by chance.
        let both = |a: &Mask, b: &Mask| {
            let pairs = a.layers()[0].keep.iter().zip(&b.layers()[0].keep);
            pairs.filter(|(a, b)| **a && **b).count()
        };
        assert!((10..45).contains(&both(&mask, &shuffled)));
        assert_eq!(mask.shuffled(Key::new(1)), shuffled);
        assert_ne!(mask.shuffled(Key::new(2)), shuffled);
    }

    #[test]
    fn inverted_scores_keep_the_lowest() {
        let mask =
            Mask::new(&inverted(&scores()), Sparsity::new(0.19).unwrap(), &MaskOptions::default());
        let mask = mask.unwrap();
        assert!(mask.layers()[0].keep.iter().all(|&keep| keep));
        let second: Vec<bool> = (0..100).map(|i| i < 5).collect();
        assert_eq!(mask.layers()[1].keep, second);
    }
}
