//! Size and cost of networks, counted in their recorded graphs without computing anything.

use super::{Mode, Network};
use prospr_engine::{
    DType, Device, Key, Params, Role, Tensor, Tree, flops, flops_by_weight, value_and_grad,
};

/// Size and cost of one layer with prunable weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The weight's name, without `.weight`.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<usize>,
    /// Floating-point operations of one image in evaluation that multiply this weight's elements. Each element has the
    /// same share: a layer that keeps a tenth of its weights needs a tenth of them.
    pub flops: u64,
}

/// Size and cost of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Shape of the logits of one image.
    pub output: Vec<usize>,
    /// Number of parameters, without running statistics.
    pub parameters: usize,
    /// Number of prunable weights: those with [`Role::Weight`].
    pub weights: usize,
    /// The layers with prunable weights.
    pub layers: Vec<Layer>,
    /// Floating-point operations of one image in evaluation, as [`flops`] counts: `2 Σ MACs` of convolutions and
    /// linear layers.
    pub flops: u64,
    /// Floating-point operations of one image in a training step: forward pass, gradients of activations, gradients of
    /// weights. This is three times [`Summary::flops`], less the gradient of the images, which is not computed.
    pub step_flops: u64,
}

impl Summary {
    /// The summary of a network for images `[c, h, w]`.
    ///
    /// # Panics
    /// If the network does not accept images of this shape.
    ///
    /// ```
    /// use prospr_engine::Device;
    /// use prospr_nn::{models, nn::Summary};
    /// let net = models::by_name("resnet-20", [3, 32, 32], 10)?;
    /// let summary = Summary::of(&*net, [3, 32, 32], &Device::cpu());
    /// assert_eq!((summary.parameters, summary.flops), (269_722, 81_102_080));
    /// # Ok::<(), prospr_engine::Error>(())
    /// ```
    pub fn of(net: &dyn Network, image: [usize; 3], device: &Device) -> Summary {
        let key = Key::new(0);
        let (params, state) = net.init(key, &image, DType::F32, device);
        let images = |n| Tensor::zeros(&[n, image[0], image[1], image[2]], DType::F32, device);
        let (logits, _) = net.apply(&params, &state, &images(1), Mode::Eval);
        // Batch norm needs more than one value per channel, which one image may not have.
        let pair = images(2);
        let loss = |params: &Params| net.apply(params, &state, &pair, Mode::Train(key)).0.sum();
        let (loss, gradients) = value_and_grad(loss)(&params);
        let step: Vec<Tensor> = gradients.iter().map(|(.., g)| g.clone()).chain([loss]).collect();
        let weights = params.filter(|_, role| role == Role::Weight);
        let by_weight = flops_by_weight(std::slice::from_ref(&logits), &weights.leaves());
        let layer = |((name, _, weight), flops): ((&str, _, &Tensor), u64)| Layer {
            name: name.strip_suffix(".weight").unwrap_or(name).into(),
            shape: weight.shape().into(),
            flops,
        };
        Summary {
            output: logits.shape()[1..].into(),
            parameters: params.numel(),
            weights: weights.numel(),
            layers: weights.iter().zip(by_weight).map(layer).collect(),
            flops: flops(&[logits]),
            step_flops: flops(&step) / 2,
        }
    }
}
