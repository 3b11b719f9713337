//! Programs: elementwise expressions over one domain, computed by one kernel that stores or sums the results.

use std::fmt;

use super::{Binary, Compare, DType, Logic, Unary};

/// Index of an instruction, and the name of its result.
pub(crate) type Register = usize;

/// One instruction. Its result, a number or a truth value, is a register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Instr {
    /// An element of an input, converted to the program's float type if it is a number.
    Load(usize),
    Const(f64),
    Unary(Unary, Register),
    Binary(Binary, Register, Register),
    Compare(Compare, Register, Register),
    Logic(Logic, Register, Register),
    /// Tests that a number is neither infinite nor NaN.
    IsFinite(Register),
    /// `c ? a : b`
    Select(Register, Register, Register),
    /// A truth value as 0 or 1.
    Number(Register),
}

/// Access pattern of an input: for each axis of the domain, the input's axis that advances with it, if any.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    pub dtype: DType,
    pub axes: Vec<Option<usize>>,
}

/// A result: a register's value for each element of the domain, or its sums over some axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    pub register: Register,
    pub dtype: DType,
    /// The result's shape: the domain, with size 1 for summed axes.
    pub shape: Vec<usize>,
}

/// `out[i] = f(in₁[i], in₂[i], …)` over all `i` of a domain, or the sums of that over some axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    /// The type of all arithmetic: F32 or F64.
    pub float: DType,
    pub domain: Vec<usize>,
    /// For each axis of the domain, true if outputs are summed over it.
    pub summed: Vec<bool>,
    pub inputs: Vec<Input>,
    pub code: Vec<Instr>,
    pub outputs: Vec<Output>,
}

impl Instr {
    /// Returns the registers that the instruction reads.
    pub fn operands(&self) -> impl Iterator<Item = Register> {
        let (list, count) = match *self {
            Instr::Load(_) | Instr::Const(_) => ([0; 3], 0),
            Instr::Unary(_, x) | Instr::Number(x) | Instr::IsFinite(x) => ([x; 3], 1),
            Instr::Binary(_, a, b) | Instr::Compare(_, a, b) | Instr::Logic(_, a, b) => {
                ([a, b, b], 2)
            }
            Instr::Select(c, a, b) => ([c, a, b], 3),
        };
        list.into_iter().take(count)
    }
}

impl Program {
    /// Returns true if outputs are sums.
    pub fn is_reduction(&self) -> bool {
        self.summed.iter().any(|&s| s)
    }

    /// Returns an input's strides along the domain's axes, from the strides along its own axes (in elements).
    pub fn strides(&self, input: usize, own: &[usize]) -> Vec<usize> {
        let axes = &self.inputs[input].axes;
        axes.iter().map(|axis| axis.map_or(0, |a| own[a])).collect()
    }
}

/// The loops over a domain, with as few axes as the inputs' strides and the summed axes allow.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loops {
    pub sizes: Vec<usize>,
    pub summed: Vec<bool>,
    /// Strides of each input along each axis, in elements.
    pub strides: Vec<Vec<usize>>,
}

impl Loops {
    /// Merges neighbouring axes that every input can walk with one stride. The result has at least one axis.
    pub fn new(program: &Program, strides: &[Vec<usize>]) -> Loops {
        let mut loops = Loops {
            sizes: Vec::new(),
            summed: Vec::new(),
            strides: vec![Vec::new(); strides.len()],
        };
        for (axis, (&size, &summed)) in program.domain.iter().zip(&program.summed).enumerate() {
            if size == 1 {
                continue;
            }
            let merges = loops.summed.last() == Some(&summed)
                && loops
                    .strides
                    .iter()
                    .zip(strides)
                    .all(|(merged, own)| merged.last() == Some(&(own[axis] * size)));
            if merges {
                *loops.sizes.last_mut().expect("merged with one") *= size;
            } else {
                loops.sizes.push(size);
                loops.summed.push(summed);
            }
            for (merged, own) in loops.strides.iter_mut().zip(strides) {
                if merges {
                    merged.pop();
                }
                merged.push(own[axis]);
            }
        }
        if loops.sizes.is_empty() {
            loops.sizes.push(1);
            loops.summed.push(false);
            loops.strides.iter_mut().for_each(|s| s.push(0));
        }
        loops
    }

    /// Returns the loops over groups of `n` neighbours along the innermost axis, where every input must have stride 1
    /// or 0. Sizes, and the strides of inputs that are read in groups, then count groups. `None` if an input has
    /// another stride there, or if a size or stride is no multiple of `n`.
    pub fn in_groups(&self, n: usize) -> Option<Loops> {
        let last = self.sizes.len() - 1;
        let whole = |s: &Vec<usize>| match s[last] {
            0 => true,
            1 => s[..last].iter().all(|stride| stride % n == 0),
            _ => false,
        };
        let fits = self.sizes[last].is_multiple_of(n) && self.sizes[last] > 0;
        if !fits || !self.strides.iter().all(whole) {
            return None;
        }
        let mut groups = self.clone();
        groups.sizes[last] /= n;
        for strides in groups.strides.iter_mut().filter(|s| s[last] == 1) {
            strides[..last].iter_mut().for_each(|stride| *stride /= n);
        }
        Some(groups)
    }

    /// Returns the axes that are summed over (`true`) or kept (`false`), without the last axis.
    pub fn outer(&self, summed: bool) -> Vec<usize> {
        (0..self.sizes.len() - 1).filter(|&a| self.summed[a] == summed).collect()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text: Vec<String> = Vec::with_capacity(self.code.len());
        for instr in &self.code {
            let at = |r: &Register| text[*r].as_str();
            let next = match instr {
                Instr::Load(i) => format!("in{i}"),
                Instr::Const(value) => format!("{value}"),
                Instr::Unary(Unary::Powf(p), x) => format!("powf({}, {p})", at(x)),
                Instr::Unary(op, x) => format!("{}({})", op.name(), at(x)),
                Instr::Binary(op, a, b) => format!("{}({}, {})", op.name(), at(a), at(b)),
                Instr::Compare(op, a, b) => format!("{}({}, {})", op.name(), at(a), at(b)),
                Instr::Logic(Logic::Not, a, _) => format!("not({})", at(a)),
                Instr::Logic(op, a, b) => format!("{}({}, {})", op.name(), at(a), at(b)),
                Instr::Select(c, a, b) => format!("where({}, {}, {})", at(c), at(a), at(b)),
                Instr::IsFinite(x) => format!("is_finite({})", at(x)),
                Instr::Number(c) => format!("number({})", at(c)),
            };
            text.push(next);
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let comma = if index > 0 { "; " } else { "" };
            let value = &text[output.register];
            match self.is_reduction() {
                true => write!(f, "{comma}sum {value}")?,
                false => write!(f, "{comma}{value}")?,
            }
        }
        Ok(())
    }
}
