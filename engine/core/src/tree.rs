//! Trees of tensors: what transforms take and return.

use std::collections::BTreeMap;

use crate::Tensor;

/// A structure that holds tensors: a tensor, a tuple, a `Vec`, [`Params`](crate::Params), or your own struct
/// (with [`impl_tree!`](crate::impl_tree)).
///
/// `leaves` and `rebuild` must visit the tensors in the same order.
pub trait Tree: Clone + Send + Sync + 'static {
    /// Appends every tensor, in order.
    fn collect_leaves(&self, out: &mut Vec<Tensor>);

    /// The same structure with other tensors, taken in order from `next`.
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self;

    /// Whether a tree of the same type and structure differs from this one in tensors alone. What holds anything
    /// else that matters — a count of steps, a learning rate — says no, and what is computed from it is traced anew
    /// each time, instead of once. [`impl_tree!`](crate::impl_tree) says no where there are fields without tensors.
    fn is_tensors_only(&self) -> bool {
        false
    }

    /// Every tensor, in order.
    fn leaves(&self) -> Vec<Tensor> {
        let mut out = Vec::new();
        self.collect_leaves(&mut out);
        out
    }

    /// The same structure with every tensor replaced.
    ///
    /// ```
    /// # use prospr_engine::*;
    /// let x = Tensor::ones(&[2], DType::F32, &Device::cpu());
    /// let (a, b) = (x.clone(), vec![x]).map_leaves(|t| t * 2.0);
    /// assert_eq!(a.to_vec::<f32>()?, b[0].to_vec::<f32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    fn map_leaves(&self, mut f: impl FnMut(&Tensor) -> Tensor) -> Self
    where
        Self: Sized,
    {
        let leaves = self.leaves();
        let mut rest = leaves.iter();
        self.rebuild(&mut || {
            f(rest
                .next()
                .expect("rebuild takes as many tensors as there are leaves"))
        })
    }

    /// The same structure with every tensor combined with its counterpart in `other`.
    ///
    /// # Panics
    /// If the trees hold different numbers of tensors.
    #[track_caller]
    fn zip_leaves(&self, other: &Self, mut f: impl FnMut(&Tensor, &Tensor) -> Tensor) -> Self
    where
        Self: Sized,
    {
        let others = other.leaves();
        let count = self.leaves().len();
        assert!(
            count == others.len(),
            "trees differ: {count} tensors here, {} there",
            others.len()
        );
        let mut rest = others.iter();
        self.map_leaves(|leaf| f(leaf, rest.next().expect("counted")))
    }

    /// Computes every tensor now.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    fn eval_leaves(&self) -> crate::Result<()> {
        crate::eval(&self.leaves())
    }
}

/// The sum over all leaves of `⟨a, b⟩`, as a scalar tensor.
///
/// # Panics
/// If the trees hold no tensors or different numbers of them.
#[track_caller]
pub fn tree_dot<T: Tree>(a: &T, b: &T) -> Tensor {
    let (a, b) = (a.leaves(), b.leaves());
    assert!(
        a.len() == b.len(),
        "tree_dot: {} tensors here, {} there",
        a.len(),
        b.len()
    );
    a.iter()
        .zip(&b)
        .map(|(x, y)| (x * y).sum())
        .reduce(|x, y| x + y)
        .expect("a tree with tensors")
}

impl Tree for Tensor {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        out.push(self.clone());
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        next()
    }
    fn is_tensors_only(&self) -> bool {
        true
    }
}

impl<T: Tree> Tree for Vec<T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        self.iter().map(|t| t.rebuild(next)).collect()
    }
    fn is_tensors_only(&self) -> bool {
        self.iter().all(Tree::is_tensors_only)
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        std::array::from_fn(|i| self[i].rebuild(next))
    }
    fn is_tensors_only(&self) -> bool {
        self.iter().all(Tree::is_tensors_only)
    }
}

impl<T: Tree> Tree for Option<T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        self.as_ref().map(|t| t.rebuild(next))
    }
    fn is_tensors_only(&self) -> bool {
        self.iter().all(Tree::is_tensors_only)
    }
}

impl<K: Ord + Clone + Send + Sync + 'static, T: Tree> Tree for BTreeMap<K, T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.values().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        self.iter()
            .map(|(k, t)| (k.clone(), t.rebuild(next)))
            .collect()
    }
    fn is_tensors_only(&self) -> bool {
        self.values().all(Tree::is_tensors_only)
    }
}

impl Tree for () {
    fn collect_leaves(&self, _: &mut Vec<Tensor>) {}
    fn rebuild(&self, _: &mut dyn FnMut() -> Tensor) -> Self {}
    fn is_tensors_only(&self) -> bool {
        true
    }
}

macro_rules! tuple_tree {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Tree),*> Tree for ($($name,)*) {
            fn collect_leaves(&self, out: &mut Vec<Tensor>) {
                $(self.$index.collect_leaves(out);)*
            }
            fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
                ($(self.$index.rebuild(next),)*)
            }
            fn is_tensors_only(&self) -> bool {
                $(self.$index.is_tensors_only())&&*
            }
        }
    };
}
tuple_tree!(A 0);
tuple_tree!(A 0, B 1);
tuple_tree!(A 0, B 1, C 2);
tuple_tree!(A 0, B 1, C 2, D 3);
tuple_tree!(A 0, B 1, C 2, D 3, E 4);
tuple_tree!(A 0, B 1, C 2, D 3, E 4, F 5);

/// Makes a struct of trees a [`Tree`]; fields that hold no tensors are named after a semicolon.
///
/// ```
/// use prospr_engine::{impl_tree, Tensor};
/// #[derive(Clone)]
/// struct Layer { weight: Tensor, bias: Tensor, stride: usize }
/// impl_tree!(Layer { weight, bias; stride });
/// ```
#[macro_export]
macro_rules! impl_tree {
    ($name:ident { $($field:ident),* $(,)? $(; $($rest:ident),* $(,)?)? }) => {
        impl $crate::Tree for $name {
            fn collect_leaves(&self, out: &mut Vec<$crate::Tensor>) {
                $($crate::Tree::collect_leaves(&self.$field, out);)*
            }
            fn rebuild(&self, next: &mut dyn FnMut() -> $crate::Tensor) -> Self {
                $name {
                    $($field: $crate::Tree::rebuild(&self.$field, next),)*
                    $($($rest: self.$rest.clone(),)*)?
                }
            }
            fn is_tensors_only(&self) -> bool {
                let rest: &[&str] = &[$($(stringify!($rest)),*)?];
                rest.is_empty() $(&& $crate::Tree::is_tensors_only(&self.$field))*
            }
        }
    };
}
