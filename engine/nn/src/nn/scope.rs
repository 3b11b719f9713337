//! [`Scope`]: the parameters and running statistics of a network by name, while its function runs.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

use super::init::{Bias, Init};
use prospr_engine::{DType, Device, Key, Params, Role, Tensor};

/// Training or evaluation: in training, batch norm uses the batch's statistics and dropout is active.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Training; the key is for dropout.
    Train(Key),
    /// Evaluation, with running statistics.
    Eval,
}

/// The path of a layer in a network, such as `layer1.0.conv1`, with access to the layer's parameters.
///
/// The same function of a network draws its parameters, in [`Network::init`](super::Network::init), and reads them, in
/// [`Network::apply`](super::Network::apply); layers call the same methods in both cases. Clones share the parameters.
#[derive(Clone)]
pub struct Scope {
    path: String,
    pub(super) weights: Init,
    pub(super) bias: Bias,
    variables: Rc<RefCell<Variables>>,
}

struct Variables {
    params: Params,
    state: Params,
    mode: Mode,
    /// Source of new variables; `None` if existing variables are read.
    draw: Option<Draw>,
    /// Number of dropout calls so far.
    dropouts: u64,
}

/// Keys, type and device of new variables. Weight number `n` is drawn with the first half of `key.fold_in(n).split()`;
/// the parameters after it, such as its bias, are drawn with the second half.
struct Draw {
    key: Key,
    weights: u64,
    rest: Key,
    dtype: DType,
    device: Device,
}

impl Draw {
    fn key(&mut self, role: Role) -> Key {
        if role != Role::Weight {
            let next = self.rest.fold_in(0);
            return std::mem::replace(&mut self.rest, next);
        }
        let [weight, rest] = self.key.fold_in(self.weights).split();
        (self.weights, self.rest) = (self.weights + 1, rest);
        weight
    }
}

impl Scope {
    fn root(params: Params, state: Params, mode: Mode, draw: Option<Draw>) -> Scope {
        let variables = Variables { params, state, mode, draw, dropouts: 0 };
        Scope {
            path: String::new(),
            weights: Init::PyTorchDefault,
            bias: Bias::PyTorch,
            variables: Rc::new(RefCell::new(variables)),
        }
    }

    /// The scope of a network whose variables are drawn.
    pub(super) fn drawn(key: Key, dtype: DType, device: &Device) -> Scope {
        let draw = Draw { key, weights: 0, rest: key, dtype, device: device.clone() };
        Scope::root(Params::new(), Params::new(), Mode::Eval, Some(draw))
    }

    /// The scope of a network that has these parameters and state.
    pub(super) fn read(params: &Params, state: &Params, mode: Mode) -> Scope {
        Scope::root(params.clone(), state.clone(), mode, None)
    }

    /// Parameters and state after the network ran.
    pub(super) fn into_variables(self) -> (Params, Params) {
        let mut variables = self.variables.borrow_mut();
        let Variables { params, state, .. } = &mut *variables;
        (std::mem::take(params), std::mem::take(state))
    }

    /// Returns the scope of a part: names of its parameters begin with this scope's path, a dot and `name`.
    pub fn at(&self, name: impl Display) -> Scope {
        let path = self.join(name);
        Scope { path, ..self.clone() }
    }

    /// Returns this scope with another initialiser for weights; the default is [`Init::PyTorchDefault`].
    pub fn with_weights(&self, weights: Init) -> Scope {
        Scope { weights, ..self.clone() }
    }

    /// Returns this scope with another initialiser for biases; the default is [`Bias::PyTorch`].
    pub fn with_bias(&self, bias: Bias) -> Scope {
        Scope { bias, ..self.clone() }
    }

    /// The name of this scope in the network: parts with dots between them, empty for the whole network.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn join(&self, name: impl Display) -> String {
        match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        }
    }

    /// The mode that the network runs in; [`Mode::Eval`] while its parameters are drawn.
    pub fn mode(&self) -> Mode {
        self.variables.borrow().mode
    }

    /// The parameter `name` of this scope.
    ///
    /// # Panics
    /// If the parameter is read and does not exist, or is drawn and already exists.
    #[track_caller]
    pub fn param(&self, name: &str, role: Role, shape: &[usize], init: Init) -> Tensor {
        let name = self.join(name);
        let Variables { params, draw, .. } = &mut *self.variables.borrow_mut();
        if let Some(draw) = draw {
            let key = draw.key(role);
            let value = init.draw(key, shape, draw.dtype, &draw.device);
            insert_new(params, &name, role, value);
        }
        params[&name].clone()
    }

    /// The state `name` of this scope, such as a running mean: a value of the network that has no gradient. All its
    /// elements are `initial` at first.
    ///
    /// # Panics
    /// In the cases of [`Scope::param`].
    #[track_caller]
    pub fn buffer(&self, name: &str, shape: &[usize], initial: f64) -> Tensor {
        let name = self.join(name);
        let Variables { state, draw, .. } = &mut *self.variables.borrow_mut();
        if let Some(draw) = draw {
            let value = Tensor::full(initial, shape, draw.dtype, &draw.device);
            insert_new(state, &name, Role::Buffer, value);
        }
        state[&name].clone()
    }

    /// Sets the state `name` of this scope for the next call of the network.
    pub fn set_buffer(&self, name: &str, value: Tensor) {
        let name = self.join(name);
        let state = &mut self.variables.borrow_mut().state;
        state.insert(name, Role::Buffer, value);
    }

    /// Applies [`dropout`](super::dropout) in training, with a different key for each call in the network;
    /// returns `x` in evaluation.
    #[track_caller]
    pub fn dropout(&self, x: &Tensor, p: f64) -> Tensor {
        let Variables { mode, dropouts, .. } = &mut *self.variables.borrow_mut();
        let Mode::Train(key) = *mode else {
            return x.clone();
        };
        *dropouts += 1;
        super::dropout(x, p, key.fold_in(*dropouts))
    }
}

#[track_caller]
fn insert_new(variables: &mut Params, name: &str, role: Role, value: Tensor) {
    assert!(
        variables.get(name).is_none(),
        "`{name}` is drawn twice: layers that share a parameter must pass its tensor on"
    );
    variables.insert(name, role, value);
}
