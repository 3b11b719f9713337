//! An update rule that is chosen while the program runs.

use super::{Adam, AdamState, Optimizer, Sgd, SgdState};
use prospr_engine::{Tensor, Tree};

/// One of the update rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UpdateRule {
    /// Gradient descent, with or without momentum.
    Sgd(Sgd),
    /// Adam or AdamW.
    Adam(Adam),
}

impl UpdateRule {
    /// Learning rate η.
    pub fn lr(&self) -> f64 {
        match self {
            UpdateRule::Sgd(rule) => rule.lr,
            UpdateRule::Adam(rule) => rule.lr,
        }
    }
}

impl From<Sgd> for UpdateRule {
    fn from(rule: Sgd) -> UpdateRule {
        UpdateRule::Sgd(rule)
    }
}

impl From<Adam> for UpdateRule {
    fn from(rule: Adam) -> UpdateRule {
        UpdateRule::Adam(rule)
    }
}

/// What an [`UpdateRule`] carries from step to step.
#[derive(Clone, Debug)]
pub enum RuleState<T> {
    /// That of gradient descent.
    Sgd(SgdState<T>),
    /// That of Adam.
    Adam(AdamState<T>),
}

impl<T: Tree> Tree for RuleState<T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        match self {
            RuleState::Sgd(state) => state.collect_leaves(out),
            RuleState::Adam(state) => state.collect_leaves(out),
        }
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        match self {
            RuleState::Sgd(state) => RuleState::Sgd(state.rebuild(next)),
            RuleState::Adam(state) => RuleState::Adam(state.rebuild(next)),
        }
    }
    fn is_tensors_only(&self) -> bool {
        match self {
            RuleState::Sgd(state) => state.is_tensors_only(),
            RuleState::Adam(state) => state.is_tensors_only(),
        }
    }
}

impl Optimizer for UpdateRule {
    type State<T: Tree> = RuleState<T>;

    fn init<T: Tree>(&self, params: &T) -> RuleState<T> {
        match self {
            UpdateRule::Sgd(rule) => RuleState::Sgd(rule.init(params)),
            UpdateRule::Adam(rule) => RuleState::Adam(rule.init(params)),
        }
    }

    /// # Panics
    /// If the state is another rule's.
    fn update<T: Tree>(&self, params: &T, grads: &T, state: &RuleState<T>) -> (T, RuleState<T>) {
        match (self, state) {
            (UpdateRule::Sgd(rule), RuleState::Sgd(state)) => {
                let (params, state) = rule.update(params, grads, state);
                (params, RuleState::Sgd(state))
            }
            (UpdateRule::Adam(rule), RuleState::Adam(state)) => {
                let (params, state) = rule.update(params, grads, state);
                (params, RuleState::Adam(state))
            }
            _ => panic!("update: {self:?} got the state of another rule; make it with its `init`"),
        }
    }

    fn with_lr(&self, lr: f64) -> UpdateRule {
        match self {
            UpdateRule::Sgd(rule) => UpdateRule::Sgd(rule.with_lr(lr)),
            UpdateRule::Adam(rule) => UpdateRule::Adam(rule.with_lr(lr)),
        }
    }
}
