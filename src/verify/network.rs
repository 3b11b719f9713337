//! Inference of networks from the names and shapes of a state dict.

use std::sync::Arc;

use super::candidate::{Candidate, KNOWN, SIDE, Shapes};
use super::sequential::vggs;
use crate::models::{Block, ResNet, Shortcut, Stage};
use crate::{DType, Device};

/// Networks with the given names and shapes, the most likely first; `images` is the shape of the images.
///
/// # Errors
/// If no network fits; the message has the expected and the found tensors.
pub fn candidates(
    shapes: &Shapes<'_>,
    images: Option<[usize; 3]>,
) -> Result<Vec<Candidate>, String> {
    if shapes.is_empty() {
        return Err("expected the initial parameters as `init.<name>`, found none".into());
    }
    if let Some((name, shape)) = shapes.iter().find(|(_, shape)| shape.contains(&0)) {
        return Err(format!("`init.{name}` is empty: its shape is {shape:?}"));
    }
    let linear = linear(shapes)?;
    let found = match shapes.contains_key("layer1.0.conv1.weight") {
        true => vec![resnet(shapes, &linear, images)?],
        false => vggs(shapes, &linear, images)?,
    };
    for candidate in &found {
        fits(candidate, shapes)?;
        if let Some([c, ..]) = images.filter(|images| images[0] != candidate.input[0]) {
            return Err(format!(
                "the images have {c} channels, but the first convolution takes {}",
                candidate.input[0]
            ));
        }
    }
    Ok(found)
}

/// Returns name and shape of the only linear layer.
fn linear<'a>(shapes: &Shapes<'a>) -> Result<(&'a str, [usize; 2]), String> {
    let found: Vec<_> = shapes
        .iter()
        .filter_map(|(name, shape)| {
            Some((name.strip_suffix(".weight")?, <[usize; 2]>::try_from(*shape).ok()?))
        })
        .collect();
    match found[..] {
        [one] => Ok(one),
        _ => Err(format!(
            "expected one linear layer as `init.<name>.weight` of shape [classes, features], found {}: {:?}; {KNOWN}",
            found.len(),
            found.iter().map(|(name, _)| name).collect::<Vec<_>>()
        )),
    }
}

fn resnet(
    shapes: &Shapes<'_>,
    &(linear, [classes, _]): &(&str, [usize; 2]),
    images: Option<[usize; 3]>,
) -> Result<Candidate, String> {
    let Some(&&[stem, channels, kernel, _]) = shapes.get("conv1.weight") else {
        return Err(
            "expected a ResNet, but `init.conv1.weight` is missing or is not a convolution".into(),
        );
    };
    let width = |s: usize, b: usize| {
        let shape = shapes.get(format!("layer{s}.{b}.conv1.weight").as_str())?;
        shape.first().copied()
    };
    let stages: Vec<Stage> = (1..)
        .map_while(|s| {
            let blocks = (0..).take_while(|&b| width(s, b).is_some()).count();
            Some(Stage { width: width(s, 0)?, blocks })
        })
        .collect();
    let has = |part: &str| shapes.keys().any(|name| name.contains(part));
    let projection = if has(".downsample.") { "downsample" } else { "shortcut" };
    let projects = has(&format!(".{projection}."));
    let shortcut = if projects { Shortcut::Project } else { Shortcut::Pad };
    let widths: Vec<usize> = [stem].into_iter().chain(stages.iter().map(|s| s.width)).collect();
    if !projects && !widths.is_sorted() {
        return Err(format!(
            "without `shortcut.0` or `downsample.0`, blocks cannot lose channels, but the widths are {widths:?}"
        ));
    }
    let net = ResNet {
        stem,
        large_images: kernel == 7,
        block: if has("layer1.0.conv3.") { Block::Bottleneck } else { Block::Basic },
        stages,
        shortcut,
        projection: projection.into(),
        linear: linear.into(),
        ..ResNet::resnet20(classes)
    };
    let [_, h, w] = images.unwrap_or([channels, SIDE, SIDE]);
    Ok(Candidate {
        description: net.to_string(),
        net: Arc::new(net),
        input: [channels, h, w],
        classes,
    })
}

/// Checks that the network has exactly these names and shapes.
fn fits(candidate: &Candidate, shapes: &Shapes<'_>) -> Result<(), String> {
    let (params, state) = candidate.initial(DType::F32, &Device::cpu());
    let network = &candidate.description;
    let mut rest = shapes.clone();
    for (name, _, tensor) in params.iter().chain(state.iter()) {
        match rest.remove(name) {
            Some(shape) if shape == tensor.shape() => (),
            Some(shape) => {
                return Err(format!(
                    "`init.{name}` has shape {shape:?}; expected {:?} for {network}",
                    tensor.shape()
                ));
            }
            None => {
                return Err(format!(
                    "`init.{name}` of shape {:?} is missing, which {network} needs",
                    tensor.shape()
                ));
            }
        }
    }
    match rest.keys().next() {
        None => Ok(()),
        Some(name) => Err(format!("`init.{name}` has no place in {network}; {KNOWN}")),
    }
}
