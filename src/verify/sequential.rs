//! Inference of VGG-like networks from the names and shapes of a `Sequential`.

use std::sync::Arc;

use super::candidate::{Candidate, KNOWN, SIDE, Shapes};
use crate::models::{Head, PoolKind, Vgg, VggLayer};

/// A convolution of a `Sequential`: its index and the shape of its weight.
type Conv = (usize, [usize; 4]);

/// Returns the networks of convolutions, pools and one linear classifier that have these names and shapes.
pub fn vggs(
    shapes: &Shapes<'_>,
    &(classifier, [classes, features]): &(&str, [usize; 2]),
    images: Option<[usize; 3]>,
) -> Result<Vec<Candidate>, String> {
    let (prefix, convs) = convolutions(shapes)?;
    let (channels, last) = (convs[0].1[1], convs[convs.len() - 1].1);
    let has =
        |index: usize, part: &str| shapes.contains_key(format!("{prefix}{index}.{part}").as_str());
    let batch_norm = has(1, "weight") && convs.iter().all(|&(at, _)| at != 1);
    let layers = layers(&prefix, &convs, batch_norm)?;
    let net = Vgg {
        layers,
        batch_norm,
        conv_bias: has(0, "bias"),
        linear_bias: shapes.contains_key(format!("{classifier}.bias").as_str()),
        pool: PoolKind::Max,
        head: Head::GlobalAverage,
        classes,
        prefix,
        classifier: classifier.into(),
    };
    if features % last[0] != 0 {
        return Err(format!(
            "`init.{classifier}.weight` takes {features} features; expected a multiple of the last convolution's {} channels",
            last[0]
        ));
    }
    // Names do not determine the kind of pools and whether a pool follows the last convolution.
    let mut found = Vec::new();
    for (pool, trailing) in [
        (PoolKind::Max, true),
        (PoolKind::Max, false),
        (PoolKind::Average, false),
        (PoolKind::Average, true),
    ] {
        let mut net = Vgg { pool, ..net.clone() };
        if trailing {
            net.layers.push(VggLayer::Pool);
        }
        let pools = net.layers.iter().filter(|l| **l == VggLayer::Pool).count();
        if pools == 0 && pool == PoolKind::Average {
            continue;
        }
        found.extend(with_head(net, features / last[0], pools, channels, images));
    }
    if found.is_empty() {
        return Err(format!(
            "`init.{classifier}.weight` takes {features} features, {} pixels of each channel, but the pools do not leave so many of images of shape {images:?}",
            features / last[0]
        ));
    }
    Ok(found)
}

/// Adds the head whose input has `pixels` pixels per channel; `None` if the size of the images does not allow it.
fn with_head(
    net: Vgg,
    pixels: usize,
    pools: usize,
    channels: usize,
    images: Option<[usize; 3]>,
) -> Option<Candidate> {
    let [h, w] = match images {
        Some([_, h, w]) => [h, w],
        None if pixels == 1 => [SIDE; 2],
        None => [pixels.isqrt().checked_shl(pools as u32)?; 2],
    };
    let [left_h, left_w] = [h, w].map(|side| side.checked_shr(pools as u32).unwrap_or(0));
    let head = match left_h * left_w {
        0 => return None,
        _ if pixels == 1 => Head::GlobalAverage,
        left if left == pixels => Head::Flatten,
        _ => return None,
    };
    let net = Vgg { head, ..net };
    Some(Candidate {
        description: net.to_string(),
        input: [channels, h, w],
        classes: net.classes,
        net: Arc::new(net),
    })
}

/// Returns the convolutions of a `Sequential` by index, and the prefix of their names.
fn convolutions(shapes: &Shapes<'_>) -> Result<(String, Vec<Conv>), String> {
    let mut found: Vec<(&str, Conv)> = Vec::new();
    for (name, shape) in shapes {
        let Ok(shape) = <[usize; 4]>::try_from(*shape) else {
            continue;
        };
        let layer = name.strip_suffix(".weight").unwrap_or(name);
        let (prefix, index) = layer.split_at(layer.rfind('.').map_or(0, |dot| dot + 1));
        let Ok(index) = index.parse() else {
            return Err(format!("`init.{name}` is a convolution without an index; {KNOWN}"));
        };
        if shape[2] != shape[3] || shape[2] % 2 == 0 {
            return Err(format!(
                "`init.{name}` has shape {shape:?}; expected a square kernel of odd size"
            ));
        }
        found.push((prefix, (index, shape)));
    }
    found.sort_unstable_by_key(|&(_, (index, _))| index);
    match found[..] {
        [] => Err(format!("no convolution was found; {KNOWN}")),
        [(_, (0, _)), ..] if found.iter().all(|(prefix, _)| *prefix == found[0].0) => {
            let prefix = found[0].0.to_string();
            Ok((prefix, found.into_iter().map(|(_, conv)| conv).collect()))
        }
        [(prefix, (index, _)), ..] => Err(format!(
            "expected all convolutions in one `Sequential` that begins with index 0, found `init.{prefix}{index}` first; {KNOWN}"
        )),
    }
}

/// Returns the layers of the network: the convolutions, with a pool at each missing index.
fn layers(prefix: &str, convs: &[Conv], batch_norm: bool) -> Result<Vec<VggLayer>, String> {
    let (mut layers, mut next) = (Vec::new(), 0);
    for &(at, [channels, _, kernel, _]) in convs {
        match at.checked_sub(next) {
            Some(0) => (),
            Some(1) => layers.push(VggLayer::Pool),
            _ => {
                return Err(format!(
                    "`init.{prefix}{at}` is a convolution; expected it at index {next}, or at {} after a pool, with {}a ReLU after each convolution",
                    next + 1,
                    if batch_norm { "a batch norm and " } else { "" }
                ));
            }
        }
        layers.push(VggLayer::Conv { channels, kernel });
        next = at + 2 + usize::from(batch_norm);
    }
    Ok(layers)
}
