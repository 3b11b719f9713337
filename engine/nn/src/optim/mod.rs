//! Optimisers as pure functions: `init` makes a state, `update` returns new parameters and a new state. Both can be
//! differentiated through.

mod adam;
mod rule;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamState};
pub use rule::{RuleState, UpdateRule};
pub use schedule::Schedule;
pub use sgd::{Sgd, SgdState};

use prospr_engine::Tree;

/// An update rule of the parameters. Its settings are static fields of a [`Tree`], so that a training step is compiled
/// again when they change.
pub trait Optimizer: Tree {
    /// State carried from step to step.
    type State<T: Tree>: Tree;

    /// The state before the first step.
    fn init<T: Tree>(&self, params: &T) -> Self::State<T>;

    /// One step: new parameters and state from gradients of the same structure.
    fn update<T: Tree>(&self, params: &T, grads: &T, state: &Self::State<T>)
    -> (T, Self::State<T>);

    /// Learning rate η.
    fn lr(&self) -> f64;

    /// The same rule with another learning rate.
    fn with_lr(&self, lr: f64) -> Self;
}
