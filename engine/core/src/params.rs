//! [`Params`]: named parameters in order, each with its role.

use std::sync::Arc;

use crate::{Tensor, Tree};

/// What a parameter is for; pruners prune weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Multiplies activations: convolution and linear weights.
    Weight,
    /// Is added to activations.
    Bias,
    /// Batch norm's γ.
    NormScale,
    /// Batch norm's β.
    NormShift,
    /// State that training updates without a gradient: running statistics.
    Buffer,
}

/// Parameters by name, in the order in which they were added. Cloning shares names and values.
///
/// ```
/// use prospr_engine::{Device, DType, Params, Role, Tensor};
/// let mut params = Params::new();
/// params.insert("fc.weight", Role::Weight, Tensor::ones(&[2, 3], DType::F32, &Device::cpu()));
/// assert_eq!(params["fc.weight"].shape(), [2, 3]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Params {
    entries: Vec<(Arc<str>, Role, Tensor)>,
}

impl Params {
    /// No parameters.
    pub fn new() -> Params {
        Params::default()
    }

    /// Adds a parameter, or replaces the one with this name in its place.
    pub fn insert(&mut self, name: impl AsRef<str>, role: Role, value: Tensor) {
        let name = name.as_ref();
        match self.entries.iter_mut().find(|(n, ..)| **n == *name) {
            Some(entry) => *entry = (entry.0.clone(), role, value),
            None => self.entries.push((name.into(), role, value)),
        }
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.entries
            .iter()
            .find(|(n, ..)| **n == *name)
            .map(|(.., t)| t)
    }

    /// The role of the parameter of this name.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.entries
            .iter()
            .find(|(n, ..)| **n == *name)
            .map(|&(_, role, _)| role)
    }

    /// Name, role and value of each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Role, &Tensor)> {
        self.entries
            .iter()
            .map(|(name, role, value)| (&**name, *role, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those that `keep` says yes to, in order.
    pub fn filter(&self, mut keep: impl FnMut(&str, Role) -> bool) -> Params {
        let entries = self
            .entries
            .iter()
            .filter(|(name, role, _)| keep(name, *role))
            .cloned()
            .collect();
        Params { entries }
    }

    /// These parameters with the values of `other` where it has the name.
    pub fn with(&self, other: &Params) -> Params {
        let pick = |(name, role, value): &(Arc<str>, Role, Tensor)| {
            (
                name.clone(),
                *role,
                other.get(name).unwrap_or(value).clone(),
            )
        };
        Params {
            entries: self.entries.iter().map(pick).collect(),
        }
    }

    /// The number of scalars in all.
    pub fn numel(&self) -> usize {
        self.entries.iter().map(|(.., t)| t.numel()).sum()
    }
}

impl std::ops::Index<&str> for Params {
    type Output = Tensor;

    /// # Panics
    /// If there is no such parameter; the message lists those that there are.
    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        self.get(name).unwrap_or_else(|| {
            let names: Vec<&str> = self.iter().map(|(n, ..)| n).collect();
            panic!(
                "no parameter is called `{name}`; there are: {}",
                names.join(", ")
            )
        })
    }
}

impl Tree for Params {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        out.extend(self.entries.iter().map(|(.., t)| t.clone()));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        let entries = self
            .entries
            .iter()
            .map(|(name, role, _)| (name.clone(), *role, next()))
            .collect();
        Params { entries }
    }
    fn is_tensors_only(&self) -> bool {
        true
    }
}
