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

    /// Returns the same structure with other tensors, taken from `next` in the order of
    /// [`collect_leaves`](Tree::collect_leaves).
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self;

    /// Hashes everything but the tensors' values: shapes, types, devices, lengths, names and static fields. A function
    /// that was compiled for one tree is replayed for all trees that hash the same bytes.
    fn hash_structure<H: Hasher>(&self, state: &mut H);

    /// Returns every tensor, in order.
    fn leaves(&self) -> Vec<Tensor> {
        let mut out = Vec::new();
        self.collect_leaves(&mut out);
        out
    }

    /// Returns the same structure with `f` applied to every tensor.
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
            f(rest.next().expect("rebuild takes as many tensors as there are leaves"))
        })
    }

    /// Returns the same structure with every tensor combined with its counterpart in `other`.
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

/// Returns the sum over all leaves of `⟨a, b⟩`, as a scalar tensor.
///
/// # Panics
/// If the trees hold no tensors or different numbers of them.
#[track_caller]
pub fn tree_dot<T: Tree>(a: &T, b: &T) -> Tensor {
    let (a, b) = (a.leaves(), b.leaves());
    assert!(a.len() == b.len(), "tree_dot: {} tensors here, {} there", a.len(), b.len());
    a.iter().zip(&b).map(|(x, y)| (x * y).sum()).reduce(|x, y| x + y).expect("a tree with tensors")
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
        self.iter().map(|(k, t)| (k.clone(), t.rebuild(next))).collect()
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::{DType, Device, Tensor, Tree, jit};

    #[derive(Clone, Debug, Tree)]
    enum Layer<T> {
        Dense {
            weight: T,
            #[tree(static)]
            slope: f64,
        },
        Scale(T, Option<T>),
        Relu,
    }

    #[derive(Clone, Debug, PartialEq, Tree)]
    #[tree(static)]
    struct Settings {
        rate: Option<f64>,
        sizes: (usize, Vec<i32>),
    }

    fn layers() -> (Vec<Layer<Tensor>>, Settings) {
        let ones = Tensor::ones(&[2], DType::F64, &Device::cpu());
        let layers = vec![
            Layer::Dense { weight: &ones * 2.0, slope: 0.5 },
            Layer::Scale(&ones * 3.0, Some(&ones * 4.0)),
            Layer::Relu,
        ];
        let settings = Settings { rate: Some(0.1), sizes: (1, vec![2]) };
        (layers, settings)
    }

    #[test]
    fn derived_trees_keep_their_structure() {
        let tree = layers();
        assert_eq!(tree.leaves().len(), 3);
        let doubled = tree.map_leaves(|t| t * 2.0);
        let values: Vec<f64> = doubled.leaves().iter().map(|t| t.sum().item().unwrap()).collect();
        assert_eq!(values, [8.0, 12.0, 16.0]);
        assert!(matches!(doubled.0[0], Layer::Dense { slope: 0.5, .. }));
        assert!(matches!(doubled.0[1], Layer::Scale(_, Some(_))));
        assert_eq!(doubled.1, tree.1);
    }

    /// Trees with the same tensors but another structure are compiled separately.
    #[test]
    fn jit_compiles_once_for_each_structure() {
        let traced = AtomicUsize::new(0);
        let f = jit(|(layers, settings): &(Vec<Layer<Tensor>>, Settings)| {
            traced.fetch_add(1, Ordering::Relaxed);
            let value = |layer: &Layer<Tensor>| match layer {
                Layer::Dense { weight, slope } => weight.sum() * *slope,
                Layer::Scale(a, b) => (a * b.as_ref().unwrap_or(a)).sum(),
                Layer::Relu => Tensor::scalar(100.0, DType::F64, &Device::cpu()),
            };
            let sum = layers.iter().map(value).reduce(|a, b| a + b).unwrap();
            sum * settings.rate.unwrap_or(1.0)
        });
        let call = |tree: &(Vec<Layer<Tensor>>, Settings)| f(tree).unwrap().item().unwrap();
        let tree = layers();
        let scaled = tree.map_leaves(|t| t * 2.0);
        assert!((call(&tree) - 12.6).abs() < 1e-12);
        assert!((call(&scaled) - 20.0).abs() < 1e-12);
        assert_eq!(traced.load(Ordering::Relaxed), 1);
        let (mut slope, mut variant, mut rate) = (tree.clone(), tree.clone(), tree.clone());
        let Layer::Dense { weight, .. } = &tree.0[0] else { unreachable!() };
        slope.0[0] = Layer::Dense { weight: weight.clone(), slope: 1.0 };
        variant.0[0] = Layer::Scale(weight.clone(), None);
        rate.1.rate = None;
        for (tree, expected) in [(slope, 12.8), (variant, 13.2), (rate, 126.0)] {
            for _ in 0..2 {
                assert!((call(&tree) - expected).abs() < 1e-12, "{tree:?}");
            }
        }
        assert_eq!(traced.load(Ordering::Relaxed), 4);
    }

    /// The eight plans used last are kept, so that a function of a step count does not fill the memory.
    #[test]
    fn jit_keeps_a_few_plans() {
        let traced = AtomicUsize::new(0);
        let f = jit(|(x, _): &(Tensor, Settings)| {
            traced.fetch_add(1, Ordering::Relaxed);
            x * 2.0
        });
        let x = Tensor::ones(&[2], DType::F64, &Device::cpu());
        let new = |step: usize| {
            let before = traced.load(Ordering::Relaxed);
            let settings = Settings { rate: None, sizes: (step, Vec::new()) };
            f(&(x.clone(), settings)).unwrap();
            traced.load(Ordering::Relaxed) != before
        };
        assert!((0..8).all(&new));
        assert!(!new(0) && new(8));
        // The plan of step 1 was used least recently.
        assert!(!new(0) && !new(2) && new(1));
    }
}
