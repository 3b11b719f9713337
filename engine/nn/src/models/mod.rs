//! Networks by name, as pure functions with the parameter names of PyTorch and torchvision. A new network is a file, its
//! two lines below, and its entry in [`MODELS`].

mod lenet;
pub use lenet::LeNet5;
mod mlp;
pub use mlp::Mlp;
mod resnet;
pub use resnet::{Block, ResNet, Shortcut, Stage};
mod unet;
pub use unet::UNet;
mod vgg;
pub use vgg::{Head, PoolKind, Vgg, VggLayer};
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::nn::Net;
use prospr_engine::{Error, Result};

/// A named network, or a named family of networks.
#[derive(Debug)]
pub struct Model {
    /// The name; for a family, the part before the colon.
    pub name: &'static str,
    /// The arguments after the name, for messages; optional ones in brackets.
    pub arguments: &'static str,
    /// An example: the full name of one network of the family.
    pub example: &'static str,
    /// A short description.
    pub about: &'static str,
    /// Shape `[c, h, w]` of the usual images.
    pub image: [usize; 3],
    /// The number of classes of those images.
    pub classes: usize,
    build: Build,
}

/// Builds the network from its arguments, for images `[c, h, w]` and a number of classes; the error is the reason.
type Build = fn(&str, [usize; 3], usize) -> Result<Net, String>;

/// All networks that [`by_name`] builds.
pub const MODELS: &[Model] = &[
    small("lenet-5", "Caffe's LeNet-5", [1, 28, 28], lenet5),
    small("lenet-300-100", "two hidden linear layers", [1, 28, 28], |_, _, k| {
        Ok(Arc::new(Mlp::lenet_300_100(k)))
    }),
    small("resnet-20", "option A shortcuts", CIFAR, |_, _, k| Ok(Arc::new(ResNet::resnet20(k)))),
    small("resnet-20-b", "option B shortcuts", CIFAR, |_, _, k| {
        let shortcut = Shortcut::Project;
        Ok(Arc::new(ResNet { shortcut, ..ResNet::resnet20(k) }))
    }),
    small("resnet-18", SIZED_STEM, CIFAR, |_, i, k| {
        Ok(Arc::new(sized(ResNet::resnet18(k), ResNet::imagenet, i)))
    }),
    small("resnet-50", SIZED_STEM, CIFAR, |_, i, k| {
        Ok(Arc::new(sized(ResNet::resnet50(k), ResNet::imagenet, i)))
    }),
    small("vgg-16", SIZED_HEAD, CIFAR, |_, i, k| vgg(sized(Vgg::vgg16(k), Vgg::imagenet, i), i)),
    small("vgg-19", SIZED_HEAD, CIFAR, |_, i, k| vgg(sized(Vgg::vgg19(k), Vgg::imagenet, i), i)),
    large("resnet-18-imagenet", "torchvision's resnet18", |_, _, k| {
        Ok(Arc::new(ResNet::resnet18(k).imagenet()))
    }),
    large("resnet-50-imagenet", "torchvision's resnet50", |_, _, k| {
        Ok(Arc::new(ResNet::resnet50(k).imagenet()))
    }),
    large("vgg-16-imagenet", "torchvision's vgg16_bn", |_, i, k| vgg(Vgg::vgg16(k).imagenet(), i)),
    large("vgg-19-imagenet", "torchvision's vgg19_bn", |_, i, k| vgg(Vgg::vgg19(k).imagenet(), i)),
    Model {
        name: "unet",
        arguments: "[:BASE,DEPTH]",
        example: "unet",
        about: "logits for each pixel; 64 channels first and 4 halvings unless given",
        image: [1, 256, 256],
        classes: 2,
        build: unet,
    },
    Model {
        name: "vgg",
        arguments: ":LAYERS",
        example: "vgg:64,M,128,M",
        about: "3×3 convolutions (5×5: 64k5) with batch norm, max pools (M), global average, linear",
        image: CIFAR,
        classes: 10,
        build: |layers, image, classes| {
            let layers: Result<Vec<VggLayer>, String> = layers.split(',').map(str::parse).collect();
            vgg(Vgg::new(layers?, classes), image)
        },
    },
    Model {
        name: "mlp",
        arguments: ":HIDDEN",
        example: "mlp:300,100",
        about: "linear layers with ReLU between them",
        image: [1, 28, 28],
        classes: 10,
        build: |hidden, _, classes| {
            let hidden = sizes(hidden)?;
            Ok(Arc::new(Mlp { hidden, classes }))
        },
    },
];

const CIFAR: [usize; 3] = [3, 32, 32];
/// Largest side of images for which ProsPr's variants of networks are used: CIFAR's and Tiny ImageNet's.
const SMALL: usize = 64;
const SIZED_STEM: &str = "3×3 stem for images up to 64 pixels, torchvision's above";
const SIZED_HEAD: &str =
    "batch norm; one linear layer for images up to 64 pixels, torchvision's three above";

const fn small(name: &'static str, about: &'static str, image: [usize; 3], build: Build) -> Model {
    Model { name, arguments: "", example: name, about, image, classes: 10, build }
}

const fn large(name: &'static str, about: &'static str, build: Build) -> Model {
    Model { classes: 1000, ..small(name, about, [3, 224, 224], build) }
}

/// Returns the network with a name, for images `[c, h, w]`: a name of [`MODELS`], with a colon and arguments for a family.
///
/// # Errors
/// [`Error::Model`] if there is no such network, or it does not accept images of this shape.
///
/// ```
/// use prospr_nn::models;
/// assert!(models::by_name("lenet-5", [1, 28, 28], 10).is_ok());
/// assert!(models::by_name("vgg:64,M,128", [3, 32, 32], 10).is_ok());
/// assert!(models::by_name("lenet-6", [1, 28, 28], 10).is_err());
/// ```
pub fn by_name(name: &str, image: [usize; 3], classes: usize) -> Result<Net> {
    let model = Model::of(name)?;
    let (_, arguments) = name.split_once(':').unwrap_or((name, ""));
    let net = match image.contains(&0) || classes == 0 {
        true => Err(format!(
            "found images of {} and {classes} classes, but all sizes must be at least 1",
            text(image)
        )),
        false => (model.build)(arguments, image, classes),
    };
    net.map_err(|reason| wrong(name, reason))
}

impl Model {
    /// Returns the entry of a network's name, which may have arguments.
    ///
    /// # Errors
    /// [`Error::Model`] with all names if there is none.
    pub fn of(name: &str) -> Result<&'static Model> {
        let (family, arguments) = match name.split_once(':') {
            Some((family, _)) => (family, true),
            None => (name, false),
        };
        let Some(model) = MODELS.iter().find(|model| model.name == family) else {
            let known: Vec<String> =
                MODELS.iter().map(|model| format!("{}{}", model.name, model.arguments)).collect();
            return Err(wrong(name, format!("there are {}", known.join(", "))));
        };
        if arguments && model.arguments.is_empty() {
            let reason = format!("write {family}; it takes no arguments");
            return Err(wrong(name, reason));
        }
        Ok(model)
    }
}

fn wrong(requested: &str, reason: String) -> Error {
    let requested = requested.to_string();
    Error::Model { requested, reason }
}

fn text([c, h, w]: [usize; 3]) -> String {
    format!("{c} × {h} × {w}")
}

/// Returns `net` for images of up to [`SMALL`] pixels a side, otherwise its variant for large images.
fn sized<N>(net: N, large: fn(N) -> N, [_, h, w]: [usize; 3]) -> N {
    if h.max(w) <= SMALL { net } else { large(net) }
}

/// Parses positive numbers.
fn sizes(text: &str) -> Result<Vec<usize>, String> {
    let size = |part: &str| match part.parse() {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(format!("`{part}` is not a size; write numbers with commas")),
    };
    text.split(',').map(size).collect()
}

fn lenet5(_: &str, image: [usize; 3], classes: usize) -> Result<Net, String> {
    match image {
        [1, 28, 28] => Ok(Arc::new(LeNet5 { classes })),
        _ => Err(format!("it takes images of 1 × 28 × 28, the data's are {}", text(image))),
    }
}

fn vgg(net: Vgg, image: [usize; 3]) -> Result<Net, String> {
    let [_, h, w] = image;
    let pools = net.layers.iter().filter(|&&l| l == VggLayer::Pool).count();
    if h.min(w).checked_shr(pools as u32).unwrap_or(0) == 0 {
        return Err(format!("its {pools} pools halve images of {} to nothing", text(image)));
    }
    Ok(Arc::new(net))
}

fn unet(arguments: &str, image: [usize; 3], classes: usize) -> Result<Net, String> {
    let (base, depth) = match arguments {
        "" => (64, 4),
        _ => match sizes(arguments)?[..] {
            [base, depth] => (base, depth),
            _ => return Err(format!("`{arguments}` is not BASE,DEPTH, such as 64,4")),
        },
    };
    let fits = |side: usize| side.trailing_zeros() as usize >= depth;
    if !fits(image[1]) || !fits(image[2]) {
        return Err(format!(
            "it halves images {depth} times, which those of {} do not allow",
            text(image)
        ));
    }
    Ok(Arc::new(UNet { base, depth, classes }))
}
