//! Loss functions: scalars, averaged over a batch.

use super::activation::log_softmax;
use prospr_engine::{DType, Tensor};

/// Mean cross-entropy of logits with the default options; see [`CrossEntropy`].
#[track_caller]
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    CrossEntropy::default().loss(logits, labels)
}

/// Options of the cross-entropy, with PyTorch's meaning.
#[derive(Clone, Debug, Default)]
pub struct CrossEntropy {
    /// The share ε of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Weights of the classes, `[classes]`; the mean over the batch is then weighted.
    pub class_weights: Option<Tensor>,
}

impl CrossEntropy {
    /// Cross-entropy: `−Σ t ln softmax(z)` averaged over the batch, with `t = (1 − ε)·onehot + ε/classes`.
    ///
    /// # Shapes
    /// `logits: [n, classes]` with I32 labels `[n]`, or `[n, classes, ..]` with labels `[n, ..]` for one label
    /// a pixel. Labels must lie in `0..classes`.
    ///
    /// # Panics
    /// If the shapes do not match.
    #[track_caller]
    pub fn loss(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        let (logits, column) = rows("cross_entropy", logits, labels);
        let classes = logits.shape()[1];
        let log_p = log_softmax(&logits, 1);
        let hard = -log_p.gather(1, &column);
        let smooth = self.label_smoothing;
        match &self.class_weights {
            None if smooth == 0.0 => hard.mean(),
            None => hard.mean() * (1.0 - smooth) - log_p.mean() * smooth,
            Some(weights) => {
                assert!(
                    weights.shape() == [classes],
                    "cross_entropy: {classes} class weights are needed"
                );
                let weight =
                    weights.take(0, &labels.reshape(&[labels.numel()])).reshape(column.shape());
                let spread = -(&log_p * weights).sum() * (smooth / classes as f64);
                ((hard * &weight).sum() * (1.0 - smooth) + spread) / weight.sum()
            }
        }
    }
}

/// Negative logit of the label's class, `−z_y`, averaged over the batch: PyTorch's `nll_loss` of raw logits.
///
/// # Shapes
/// As [`cross_entropy`].
#[track_caller]
pub fn negative_logit(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (logits, column) = rows("negative_logit", logits, labels);
    -logits.gather(1, &column).mean()
}

/// Returns the logits with one row per label, `[m, classes]`, and the labels as a column, `[m, 1]`.
#[track_caller]
fn rows(op: &str, logits: &Tensor, labels: &Tensor) -> (Tensor, Tensor) {
    let fits = logits.rank() >= 2
        && logits.shape()[0] == labels.shape()[0]
        && logits.shape()[2..] == labels.shape()[1..]
        && labels.dtype() == DType::I32;
    assert!(
        fits,
        "{op}: logits {:?} need I32 labels of the same shape without the class axis, found {} {:?}",
        logits.shape(),
        labels.dtype(),
        labels.shape()
    );
    // The axis of classes becomes the last one.
    let mut order: Vec<usize> = (0..logits.rank()).filter(|&a| a != 1).collect();
    order.push(1);
    let shape = [labels.numel(), logits.shape()[1]];
    (logits.permute(&order).reshape(&shape), labels.reshape(&[labels.numel(), 1]))
}

/// Mean binary cross-entropy of logits against targets in `[0, 1]`: `softplus(z) − t z`.
#[track_caller]
pub fn binary_cross_entropy_with_logits(logits: &Tensor, targets: &Tensor) -> Tensor {
    (logits.softplus() - logits * targets).mean()
}

/// Soft Dice loss of probabilities against targets in `[0, 1]`, averaged over the batch and channels:
/// `1 − (2 Σ p t + s)/(Σ p + Σ t + s)` with sums over each image `[n, c, ..]` (Milletari et al., 2016, with
/// plain instead of squared sums) and `s = smooth`, which avoids 0/0 for empty images.
#[track_caller]
pub fn dice_loss(probabilities: &Tensor, targets: &Tensor, smooth: f64) -> Tensor {
    assert!(
        probabilities.shape() == targets.shape() && targets.rank() > 2,
        "dice_loss: shapes {:?} and {:?} must be equal and [n, c, ..]",
        probabilities.shape(),
        targets.shape()
    );
    let (p, t) = (probabilities.flatten_from(2), targets.flatten_from(2));
    let sum = |x: &Tensor| x.sum_axes(&[2], false);
    let overlap = sum(&(&p * &t)) * 2.0 + smooth;
    1.0 - (overlap / (sum(&p) + sum(&t) + smooth)).mean()
}

/// Rank of each label's logit: the number of logits that are larger, or equal with a smaller class number. The
/// label is among the `k` best classes if its rank is below `k`. NaN logits rank before the label.
///
/// # Shapes
/// `logits: [n, classes]` with I32 labels `[n]`, or `[n, classes, ..]` with labels `[n, ..]` for one label a pixel; the
/// result is an F32 vector with one element per label.
#[track_caller]
pub fn label_ranks(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (logits, column) = rows("label_ranks", logits, labels);
    let classes = logits.shape()[1];
    let own = logits.gather(1, &column);
    let place = Tensor::arange(classes, logits.device()).reshape(&[1, classes]);
    let earlier = logits.eq(&own).and(&place.lt(&column));
    // NaN is neither less nor equal.
    let before = logits.le(&own).not().or(&earlier);
    before.to_dtype(DType::F32).sum_axes(&[1], false)
}

/// Top-1 accuracy: the fraction of rows whose largest logit is the label's, as an F32 scalar.
#[track_caller]
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let ranks = label_ranks(logits, labels);
    ranks.lt(&ranks.ones_like()).to_dtype(DType::F32).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{dropout, gelu, softmax};
    use prospr_engine::testing::{each_device, gradients};
    use prospr_engine::{Key, Tensor};

    fn labels(like: &Tensor, values: &[i32], shape: &[usize]) -> Tensor {
        Tensor::new(values, shape, like.device()).unwrap()
    }

    #[test]
    fn gradients_of_losses() {
        gradients("cross_entropy", &[&[3, 4]], 3, |x| {
            cross_entropy(&x[0], &labels(&x[0], &[0, 3, 1], &[3]))
        });
        gradients("smoothed and weighted", &[&[3, 4], &[4]], 3, |x| {
            let weights = x[1].square() + 0.5;
            let options = CrossEntropy { label_smoothing: 0.1, class_weights: Some(weights) };
            options.loss(&x[0], &labels(&x[0], &[0, 3, 1], &[3]))
        });
        gradients("pixels", &[&[1, 3, 2, 2]], 2, |x| {
            let options = CrossEntropy { label_smoothing: 0.2, class_weights: None };
            options.loss(&x[0], &labels(&x[0], &[0, 2, 1, 1], &[1, 2, 2]))
        });
        gradients("bce", &[&[2, 3], &[2, 3]], 2, |x| {
            binary_cross_entropy_with_logits(&x[0], &x[1].sigmoid())
        });
        gradients("dice", &[&[2, 1, 2, 2], &[2, 1, 2, 2]], 2, |x| {
            dice_loss(&x[0].sigmoid(), &x[1].sigmoid(), 1.0)
        });
        gradients("softmax", &[&[2, 3]], 2, |x| softmax(&x[0], 1));
        gradients("gelu", &[&[5]], 2, |x| gelu(&x[0]));
        gradients("dropout", &[&[4, 4]], 2, |x| dropout(&x[0], 0.5, Key::new(1)).square());
    }

    /// `F.cross_entropy` of `z = [[1, 2, 3], [1, 0, -1]]`, `y = [2, 2]` in PyTorch 2.2; the second with
    /// `weight=[1, 2, .5], label_smoothing=.1`.
    const PLAIN: f64 = 1.407_605_964;
    const WEIGHTED: f64 = 1.595_286_760;

    #[test]
    fn values_are_pytorchs() {
        each_device(|device, dtype| {
            let z = Tensor::new(&[1.0f32, 2.0, 3.0, 1.0, 0.0, -1.0], &[2, 3], device)
                .unwrap()
                .to_dtype(dtype);
            let y = Tensor::new(&[2, 2], &[2], device).unwrap();
            let close = |t: Tensor, expected: f64| {
                let found = t.item().unwrap();
                assert!((found - expected).abs() < 1e-5, "{found} against {expected}");
            };
            close(cross_entropy(&z, &y), PLAIN);
            let weights = Tensor::new(&[1.0f32, 2.0, 0.5], &[3], device).unwrap().to_dtype(dtype);
            let options = CrossEntropy { label_smoothing: 0.1, class_weights: Some(weights) };
            close(options.loss(&z, &y), WEIGHTED);
            close(accuracy(&z, &y), 0.5);
            let nan = f32::NAN;
            let rows = [3.0f32, 1.0, 2.0, 5.0, 5.0, 5.0, nan, nan, nan, 0.0, nan, 1.0];
            let rows = Tensor::new(&rows, &[4, 3], device).unwrap();
            let at = Tensor::new(&[1, 1, 0, 2], &[4], device).unwrap();
            let ranks = label_ranks(&rows, &at).to_vec::<f32>().unwrap();
            assert_eq!(ranks, [2.0, 1.0, 3.0, 1.0]);
            // Two pixels of three classes.
            let pixels =
                Tensor::new(&[1.0f32, 6.0, 2.0, 5.0, 3.0, 4.0], &[1, 3, 2], device).unwrap();
            let at = Tensor::new(&[1, 1], &[1, 2], device).unwrap();
            let ranks = label_ranks(&pixels, &at).to_vec::<f32>().unwrap();
            assert_eq!(ranks, [1.0, 1.0]);
            let large =
                Tensor::new(&[1000.0f32, -1000.0], &[1, 2], device).unwrap().to_dtype(dtype);
            close(cross_entropy(&large, &Tensor::new(&[1], &[1], device).unwrap()), 2000.0);
        });
    }
}
