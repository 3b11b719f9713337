//! Update rules that are chosen at run time.

use super::{Adam, AdamState, Optimizer, Sgd, SgdState};
use prospr_engine::Tree;

/// One of the update rules.
#[derive(Clone, Copy, Debug, PartialEq, Tree)]
pub enum UpdateRule {
    /// Gradient descent, with or without momentum.
    Sgd(Sgd),
    /// Adam or AdamW.
    Adam(Adam),
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

/// State of an [`UpdateRule`].
#[derive(Clone, Debug, Tree)]
pub enum RuleState<T> {
    /// State of gradient descent.
    Sgd(SgdState<T>),
    /// State of Adam.
    Adam(AdamState<T>),
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
    /// If the state belongs to another rule.
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

    fn lr(&self) -> f64 {
        match self {
            UpdateRule::Sgd(rule) => rule.lr,
            UpdateRule::Adam(rule) => rule.lr,
        }
    }

    fn with_lr(&self, lr: f64) -> UpdateRule {
        match self {
            UpdateRule::Sgd(rule) => UpdateRule::Sgd(rule.with_lr(lr)),
            UpdateRule::Adam(rule) => UpdateRule::Adam(rule.with_lr(lr)),
        }
    }
}
