//! The default data set: 5,000 digits of MNIST, embedded in the program.
//!
//! MNIST is by Y. LeCun, C. Cortes and C. J. C. Burges and licensed under CC BY-SA 3.0.

use crate::{Augment, ImageSet, Normalization, idx};

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../data/mnist-5k/", $name, ".gz")).as_slice())
    };
}

/// Returns the data set: 4,000 training digits and 1,000 test digits, 28 × 28 pixels, ten classes.
pub fn mnist5k() -> ImageSet {
    let unpack = |files: [(&str, &[u8]); 2]| {
        let bytes = files
            .map(|(name, bytes)| idx::decompress(name, bytes).expect("embedded data is whole"));
        idx::split(files.map(|f| f.0), [&bytes[0], &bytes[1]], 10).expect("embedded data is valid")
    };
    ImageSet {
        name: "mnist-5k".into(),
        classes: 10,
        per_pixel: false,
        train: unpack([file!("train-images-idx3-ubyte"), file!("train-labels-idx1-ubyte")]),
        test: unpack([file!("t10k-images-idx3-ubyte"), file!("t10k-labels-idx1-ubyte")]),
        normalization: Normalization { mean: vec![0.1307], std: vec![0.3081] },
        augment: Augment::default(),
    }
}

#[cfg(test)]
mod tests {
    use crate::Label;

    #[test]
    fn the_embedded_data_is_complete() {
        let data = super::mnist5k();
        assert_eq!(
            (data.train.len(), data.test.len(), data.train.shape),
            (4000, 1000, [1, 28, 28])
        );
        let (mut sum, mut pixels) = (0.0, 0);
        for split in [&data.train, &data.test] {
            let mut classes = [0; 10];
            for index in 0..split.len() {
                let sample = split.sample(index).unwrap();
                let Label::Class(class) = sample.label else { panic!("digits have classes") };
                classes[class] += 1;
                sum += sample.image.pixels.iter().map(|&p| f64::from(p)).sum::<f64>();
                pixels += sample.image.pixels.len();
            }
            assert!(classes.iter().all(|n| n * 20 > split.len()));
        }
        let mean = sum / pixels as f64 / 255.0;
        assert!((mean - 0.1307).abs() < 0.01, "{mean}");
    }
}
