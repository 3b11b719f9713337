//! Size and cost of networks, read off their recorded graphs; nothing is computed.

use super::{Mode, Network};
use prospr_engine::{
    DType, Device, Key, Params, Role, Tensor, Tree, flops, flops_by_weight, value_and_grad,
};

/// A layer with weights that can be pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The weight's name, without `.weight`.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<usize>,
    /// Floating-point operations of one image in evaluation that multiply this weight's elements, each as often as
    /// the others: a layer of which a share is left costs that share of them.
    pub flops: u64,
}

/// Size and cost of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Shape of the logits of one image.
    pub output: Vec<usize>,
    /// Scalars among the parameters; running statistics do not count.
    pub parameters: usize,
    /// Weights that can be pruned: those with [`Role::Weight`].
    pub weights: usize,
    /// The layers that they are in.
    pub layers: Vec<Layer>,
    /// Floating-point operations of one image in evaluation, as [`flops`] counts: `2 Σ MACs` of convolutions and
    /// linear layers.
    pub flops: u64,
    /// The same of one image in a training step: forward, gradients of activations, gradients of weights. That is
    /// three times as much, less the gradient of the images, which nobody asks for.
    pub step_flops: u64,
}

impl Summary {
    /// Of a network for images `[c, h, w]`.
    ///
    /// # Panics
    /// If the network does not take such images.
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
        // Batch norm needs more than one value of each channel, and so perhaps more than one image.
        let pair = images(2);
        let loss = |params: &Params| net.apply(params, &state, &pair, Mode::Train(key)).0.sum();
        let (loss, gradients) = value_and_grad(loss)(&params);
        let step: Vec<Tensor> = gradients
            .iter()
            .map(|(.., g)| g.clone())
            .chain([loss])
            .collect();
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
