//! [`Params`]: named parameters in order, each with its role.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::{Tensor, Tree};

/// Purpose of a parameter. Pruners prune weights only.
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
    /// State that training updates without a gradient, such as running statistics.
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
    roles: Arc<IndexMap<Arc<str>, Role>>,
    /// One value for each name, in the same order.
    values: Vec<Tensor>,
}

impl Params {
    /// Creates an empty collection.
    pub fn new() -> Params {
        Params::default()
    }

    /// Adds a parameter, or replaces the value and role of the one with this name and keeps its place.
    pub fn insert(&mut self, name: impl AsRef<str>, role: Role, value: Tensor) {
        let name = name.as_ref();
        match self.roles.get_full(name) {
            Some((index, _, known)) => {
                self.values[index] = value;
                if *known != role {
                    Arc::make_mut(&mut self.roles)[index] = role;
                }
            }
            None => {
                Arc::make_mut(&mut self.roles).insert(name.into(), role);
                self.values.push(value);
            }
        }
    }

    /// Returns the parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        Some(&self.values[self.roles.get_index_of(name)?])
    }

    /// Returns the role of the parameter of this name.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.roles.get(name).copied()
    }

    /// Iterates over name, role and value of each parameter, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Role, &Tensor)> {
        self.roles.iter().zip(&self.values).map(|((name, role), value)| (&**name, *role, value))
    }

    /// Returns the number of parameters.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns true if there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the parameters for which `keep` returns true, in order.
    pub fn filter(&self, mut keep: impl FnMut(&str, Role) -> bool) -> Params {
        let (mut roles, mut values) = (IndexMap::new(), Vec::new());
        for ((name, &role), value) in self.roles.iter().zip(&self.values) {
            if keep(name, role) {
                roles.insert(name.clone(), role);
                values.push(value.clone());
            }
        }
        let roles = Arc::new(roles);
        Params { roles, values }
    }

    /// Returns these parameters with the values of `other` for the names that it has.
    pub fn with(&self, other: &Params) -> Params {
        let pick =
            |(name, _, value): (&str, Role, &Tensor)| other.get(name).unwrap_or(value).clone();
        Params { roles: self.roles.clone(), values: self.iter().map(pick).collect() }
    }

    /// Returns the number of elements of all parameters together.
    pub fn numel(&self) -> usize {
        self.values.iter().map(Tensor::numel).sum()
    }
}

impl std::ops::Index<&str> for Params {
    type Output = Tensor;

    /// # Panics
    /// If there is no such parameter; the message lists all names.
    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        self.get(name).unwrap_or_else(|| {
            let names: Vec<&str> = self.iter().map(|(n, ..)| n).collect();
            panic!("no parameter is called `{name}`; there are: {}", names.join(", "))
        })
    }
}

impl Tree for Params {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        out.extend_from_slice(&self.values);
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        Params { roles: self.roles.clone(), values: self.values.iter().map(|_| next()).collect() }
    }
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for (name, role, value) in self.iter() {
            (name, role).hash(state);
            value.hash_structure(state);
        }
    }
}
