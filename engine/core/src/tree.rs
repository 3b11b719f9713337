//! Trees of tensors: the arguments and results of transforms.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use crate::Tensor;

/// A structure that holds tensors: a tensor, a tuple, a `Vec`, [`Params`](crate::Params), or a type of your own that
/// derives it.
///
/// ```
/// use prospr_engine::{Tensor, Tree};
///
/// #[derive(Clone, Tree)]
/// struct Layer {
///     weight: Tensor,
///     bias: Option<Tensor>,
///     #[tree(static)]
///     stride: usize,
/// }
/// ```
///
/// A field that holds no tensors is marked `#[tree(static)]`; its type is [`Static`]. Functions are
/// [compiled](crate::jit()) once for each value of the static fields. Without the mark the compiler names the field:
///
/// ```compile_fail,E0277
/// # use prospr_engine::{Tensor, Tree};
/// #[derive(Clone, Tree)]
/// struct Layer {
///     weight: Tensor,
///     stride: usize,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tree of tensors",
    note = "in a type that derives `Tree`, mark a field that holds no tensors with `#[tree(static)]`"
)]
pub trait Tree: Clone + Send + Sync + 'static {
    /// Appends every tensor, in order.
    fn collect_leaves(&self, out: &mut Vec<Tensor>);

    /// The same structure with other tensors, taken from `next` in the order of [`collect_leaves`](Tree::collect_leaves).
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self;

    /// Hashes everything but the tensors' values: shapes, types, devices, lengths, names and static fields. A function
    /// that was compiled for one tree is replayed for all trees that hash the same bytes.
    fn hash_structure<H: Hasher>(&self, state: &mut H);

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
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        (self.shape(), self.dtype(), self.device()).hash(state);
    }
}

impl<T: Tree> Tree for Vec<T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        self.iter().map(|t| t.rebuild(next)).collect()
    }
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|t| t.hash_structure(state));
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        std::array::from_fn(|i| self[i].rebuild(next))
    }
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.iter().for_each(|t| t.hash_structure(state));
    }
}

impl<T: Tree> Tree for Option<T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        self.as_ref().map(|t| t.rebuild(next))
    }
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.is_some().hash(state);
        self.iter().for_each(|t| t.hash_structure(state));
    }
}

impl<K: Ord + Static, T: Tree> Tree for BTreeMap<K, T> {
    fn collect_leaves(&self, out: &mut Vec<Tensor>) {
        self.values().for_each(|t| t.collect_leaves(out));
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        self.iter()
            .map(|(k, t)| (k.clone(), t.rebuild(next)))
            .collect()
    }
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for (key, tree) in self {
            key.hash_structure(state);
            tree.hash_structure(state);
        }
    }
}

impl Tree for () {
    fn collect_leaves(&self, _: &mut Vec<Tensor>) {}
    fn rebuild(&self, _: &mut dyn FnMut() -> Tensor) -> Self {}
    fn hash_structure<H: Hasher>(&self, _: &mut H) {}
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
            fn hash_structure<H: Hasher>(&self, state: &mut H) {
                $(self.$index.hash_structure(state);)*
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

/// A value without tensors: a number, a flag, a string, or a collection of them. The type of a `#[tree(static)]` field
/// of a [`Tree`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a static field of a tree",
    note = "a type of your own derives `Tree` and then needs no `#[tree(static)]`, or it implements `Static`"
)]
pub trait Static: Clone + Send + Sync + 'static {
    /// Hashes the value, floats by their bits.
    fn hash_structure<H: Hasher>(&self, state: &mut H);
}

macro_rules! hashed_static {
    ($($type:ty)*) => {
        $(impl Static for $type {
            fn hash_structure<H: Hasher>(&self, state: &mut H) {
                self.hash(state);
            }
        })*
    };
}
hashed_static!(bool char u8 u16 u32 u64 usize i8 i16 i32 i64 isize String &'static str);

impl Static for f32 {
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}

impl Static for f64 {
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}

impl<T: Static> Static for Option<T> {
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.is_some().hash(state);
        self.iter().for_each(|value| value.hash_structure(state));
    }
}

impl<T: Static> Static for Vec<T> {
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|value| value.hash_structure(state));
    }
}

impl<T: Static, const N: usize> Static for [T; N] {
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.iter().for_each(|value| value.hash_structure(state));
    }
}

impl<A: Static, B: Static> Static for (A, B) {
    fn hash_structure<H: Hasher>(&self, state: &mut H) {
        self.0.hash_structure(state);
        self.1.hash_structure(state);
    }
}
