//! The name of a ResNet in messages.

use std::fmt;

use super::{Block, ResNet, Shortcut};

impl fmt::Display for ResNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: usize = self.stages.iter().map(|s| s.blocks).sum();
        let stages: Vec<String> =
            self.stages.iter().map(|s| format!("{}×{}", s.blocks, s.width)).collect();
        let (depth, kind) = match self.block {
            Block::Basic => (2 * blocks + 2, "blocks"),
            Block::Bottleneck => (3 * blocks + 2, "bottlenecks"),
        };
        let large = if self.large_images { " for large images" } else { "" };
        let option = if self.shortcut == Shortcut::Pad { "A" } else { "B" };
        write!(
            f,
            "resnet{depth} (stem {}{large}, {kind} {}, option {option} shortcuts, {} classes)",
            self.stem,
            stages.join(" "),
            self.classes
        )
    }
}
