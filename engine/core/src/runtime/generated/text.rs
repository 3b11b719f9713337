//! WGSL source of programs.
//!
//! The text depends on the instructions and on the pattern of the strides, not on sizes, so that layers of different
//! sizes share a pipeline. Sizes, strides and constants are words of the parameter buffer.

use std::fmt::Write;

use crate::DType;
use crate::ir::elementwise::WGSL;
use crate::ir::program::{Instr, Loops, Program};
use crate::ir::{Binary, Unary};

/// WGSL functions that return the lower and the upper float of each 64-bit word.
const HALVES: &str = "\
fn even(v: vec4<u64>) -> vec4<f32> { return bitcast<vec4<f32>>(vec4<u32>(v)); }
fn odd(v: vec4<u64>) -> vec4<f32> { return bitcast<vec4<f32>>(vec4<u32>(v >> vec4<u32>(32u))); }
";

/// Rule that divides the elements of the domain among invocations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Division {
    /// An invocation stores `run` elements of a row.
    Store { run: usize },
    /// An invocation sums `rows` rows, or a `part` of one row, in order.
    Serial { rows: usize, part: usize },
    /// A workgroup sums `each` elements of one output.
    Tree { each: usize },
    /// An invocation sums `rows` elements of a column.
    Column { rows: usize },
}

/// Number of neighbours along the innermost axis that an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Width {
    One,
    Four,
    /// Two groups of four: the lower and upper halves of 64-bit words. Only for [`Division::Serial`], because the
    /// order of the elements changes.
    Eight,
}

/// Source of a kernel and its parameters.
pub(super) struct KernelText {
    pub source: String,
    pub words: Vec<u32>,
    /// Invocations, or workgroups for [`Division::Tree`].
    pub tasks: usize,
    /// Number of partial sums per output element.
    pub splits: usize,
}

/// Writes the kernel of a program whose loops count groups of `width` elements.
pub(super) fn write(
    program: &Program,
    loops: &Loops,
    width: Width,
    division: Division,
    workgroup: usize,
) -> KernelText {
    let mut writer = Writer {
        program,
        loops,
        width,
        half: "even",
        words: Vec::new(),
        body: String::new(),
        depth: 1,
    };
    let (tasks, splits) = writer.kernel(division, workgroup);
    let mut source = String::new();
    let mut binding = 0;
    let mut buffer = |name: String, element: &str| {
        let _ = writeln!(
            source,
            "@group(0) @binding({binding}) var<storage, read_write> {name}: array<{element}>;"
        );
        binding += 1;
    };
    let element = |dtype: DType, several: Width| {
        let one = match dtype {
            DType::F32 | DType::F64 => "f32",
            DType::I32 | DType::U8 => "i32",
            DType::Bool => "u32",
        };
        match several {
            Width::One => one.to_string(),
            Width::Four => format!("vec4<{one}>"),
            Width::Eight => "vec4<u64>".to_string(),
        }
    };
    for (index, input) in program.inputs.iter().enumerate() {
        let several = match loops.strides[index].last() {
            Some(1) => width,
            _ => Width::One,
        };
        buffer(format!("in{index}"), &element(input.dtype, several));
    }
    // A sum along the innermost axis is a single element.
    let several = match division {
        Division::Store { .. } | Division::Column { .. } => width,
        Division::Serial { .. } | Division::Tree { .. } => Width::One,
    };
    for (index, output) in program.outputs.iter().enumerate() {
        buffer(format!("out{index}"), &element(output.dtype, several));
    }
    buffer("p".into(), "u32");
    if let Division::Tree { .. } = division {
        for index in 0..program.outputs.len() {
            let _ = writeln!(source, "var<workgroup> tree{index}: array<f32, {workgroup}>;");
        }
    }
    if width == Width::Eight {
        source.push_str(HALVES);
    }
    source.push_str(&WGSL.replace("NUM", writer.number()));
    let _ = write!(
        source,
        "@compute @workgroup_size({workgroup}, 1, 1)\nfn main(\n    \
         @builtin(workgroup_id) group: vec3<u32>,\n    \
         @builtin(num_workgroups) groups: vec3<u32>,\n    \
         @builtin(local_invocation_index) lane: u32,\n) {{\n{}}}\n",
        writer.body
    );
    KernelText { source, words: writer.words, tasks, splits }
}

/// Writer of a kernel's body and parameters.
pub(super) struct Writer<'a> {
    pub(super) program: &'a Program,
    pub(super) loops: &'a Loops,
    pub(super) width: Width,
    /// Function that takes the current half of 64-bit loads: `even` or `odd`.
    pub(super) half: &'static str,
    pub(super) words: Vec<u32>,
    pub(super) body: String,
    pub(super) depth: usize,
}

impl Writer<'_> {
    /// Returns the WGSL type of a register that holds a number.
    pub(super) fn number(&self) -> &'static str {
        if self.width == Width::One { "f32" } else { "vec4<f32>" }
    }

    /// Returns the WGSL type of a register's bits.
    pub(super) fn bits(&self) -> &'static str {
        if self.width == Width::One { "u32" } else { "vec4<u32>" }
    }

    /// Adds a size or stride to the parameters and returns its WGSL.
    pub(super) fn word(&mut self, value: usize) -> String {
        self.words.push(value as u32);
        format!("p[{}u]", self.words.len() - 1)
    }

    /// Writes one indented line.
    pub(super) fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.body.push_str("    ");
        }
        self.body.push_str(text);
        self.body.push('\n');
    }

    /// Writes the head of a block and indents what follows.
    pub(super) fn open(&mut self, text: &str) {
        self.line(text);
        self.depth += 1;
    }

    /// Closes a block.
    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    /// Number of elements along some axes.
    pub(super) fn size(&self, axes: &[usize]) -> usize {
        axes.iter().map(|&a| self.loops.sizes[a]).product()
    }

    /// Writes WGSL that splits a row-major index into the coordinates `c<axis>` of some axes.
    pub(super) fn decode(&mut self, index: &str, axes: &[usize]) {
        let mut rest = index.to_string();
        for (at, &axis) in axes.iter().enumerate().rev() {
            if at == 0 {
                self.line(&format!("let c{axis} = {rest};"));
            } else {
                let size = self.word(self.loops.sizes[axis]);
                self.line(&format!("let n{axis} = {size};"));
                self.line(&format!("let c{axis} = {rest} % n{axis};"));
                self.line(&format!("let r{axis} = {rest} / n{axis};"));
                rest = format!("r{axis}");
            }
        }
    }

    /// Returns WGSL of the offset into an input from the coordinates of some axes.
    pub(super) fn offset(&mut self, input: usize, axes: &[usize]) -> String {
        let mut terms = Vec::new();
        for &axis in axes {
            match self.loops.strides[input][axis] {
                0 => {}
                1 => terms.push(format!("c{axis}")),
                stride => {
                    let word = self.word(stride);
                    terms.push(format!("c{axis} * {word}"));
                }
            }
        }
        if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
    }

    /// Writes WGSL that declares for every input its offset from the coordinates of `axes`:
    /// `b<input><suffix> = b<input><before> + offset`.
    pub(super) fn bases(&mut self, suffix: &str, before: Option<&str>, axes: &[usize]) {
        for input in 0..self.program.inputs.len() {
            let own = self.offset(input, axes);
            let text = match before {
                Some(before) => format!("b{input}{before} + {own}"),
                None => own,
            };
            self.line(&format!("let b{input}{suffix} = {text};"));
        }
    }

    /// Index of the innermost axis.
    pub(super) fn last(&self) -> usize {
        self.loops.sizes.len() - 1
    }

    /// Returns for each register whether it changes along the innermost axis.
    pub(super) fn varying(&self) -> Vec<bool> {
        let inner = self.last();
        let mut varying: Vec<bool> = Vec::with_capacity(self.program.code.len());
        for instr in &self.program.code {
            let v = match *instr {
                Instr::Load(i) => self.loops.strides[i][inner] != 0,
                _ => instr.operands().any(|r| varying[r]),
            };
            varying.push(v);
        }
        varying
    }

    /// Writes the computation of the wanted registers. Inputs are read at `b<input><suffix>`, plus the coordinate of
    /// the innermost axis if they change along it, or at `flat` if they have the layout of the domain.
    pub(super) fn registers(&mut self, suffix: &str, wanted: &[bool], flat: Option<&str>) {
        let inner = self.last();
        for (index, instr) in self.program.code.iter().enumerate() {
            if !wanted[index] {
                continue;
            }
            let call = |text: &str, a: usize, b: usize| {
                text.replace("{a}", &format!("x{a}")).replace("{b}", &format!("x{b}"))
            };
            let text = match *instr {
                Instr::Load(input) => {
                    let along = match self.loops.strides[input][inner] {
                        0 => String::new(),
                        1 => format!(" + c{inner}"),
                        stride => {
                            let word = self.word(stride);
                            format!(" + c{inner} * {word}")
                        }
                    };
                    let at = match flat {
                        Some(flat) if self.is_flat(input) => flat.to_string(),
                        _ => format!("b{input}{suffix}{along}"),
                    };
                    let element = format!("in{input}[{at}]");
                    let single = self.width != Width::One && self.loops.strides[input][inner] == 0;
                    match self.program.inputs[input].dtype {
                        DType::F32 | DType::F64 if single => format!("vec4<f32>({element})"),
                        DType::F32 | DType::F64 if self.width == Width::Eight => {
                            format!("{}(w{input})", self.half)
                        }
                        DType::F32 | DType::F64 => element,
                        DType::Bool if single => format!("vec4<bool>({element} != 0u)"),
                        DType::Bool => format!("({element} != {}(0u))", self.bits()),
                        _ if single => format!("vec4<f32>(f32({element}))"),
                        _ => format!("{}({element})", self.number()),
                    }
                }
                Instr::Const(value) if self.divides(index) => self.parameter(value as f32),
                Instr::Const(value) => self.constant(value as f32),
                Instr::Unary(f, x) => self.unary(f, x),
                Instr::Binary(f, a, b) => call(f.wgsl(), a, b),
                Instr::Compare(f, a, b) => call(f.wgsl(), a, b),
                Instr::Logic(f, a, b) => call(f.wgsl(), a, b),
                Instr::Select(c, a, b) => format!("select(x{b}, x{a}, x{c})"),
                // Tests the exponent's bits, because compilers may assume that numbers are finite.
                Instr::IsFinite(x) => {
                    let bits = self.bits();
                    format!("(bitcast<{bits}>(x{x}) & {bits}(0x7f800000u)) != {bits}(0x7f800000u)")
                }
                Instr::Number(c) => {
                    let number = self.number();
                    format!("select({number}(0.0), {number}(1.0), x{c})")
                }
            };
            self.line(&format!("let x{index} = {text};"));
        }
    }

    /// Returns WGSL of a unary function of a register.
    fn unary(&mut self, f: Unary, x: usize) -> String {
        let text = f.wgsl().replace("NUM", self.number()).replace("{x}", &format!("x{x}"));
        match f {
            Unary::Powf(p) if text.contains("{p}") => text.replace("{p}", &self.constant(p as f32)),
            _ => text,
        }
    }

    /// Returns WGSL of a constant. Simple fractions are literals; others are words of the parameters, so that a new
    /// learning rate does not need a new pipeline.
    pub(super) fn constant(&mut self, value: f32) -> String {
        let simple = value.abs() <= 16.0 && (value * 8.0).fract() == 0.0;
        if simple {
            return format!("{}({value:?}f)", self.number());
        }
        self.parameter(value)
    }

    /// Adds a number to the parameters and returns its WGSL.
    pub(super) fn parameter(&mut self, value: f32) -> String {
        self.words.push(value.to_bits());
        format!("{}(bitcast<f32>(p[{}u]))", self.number(), self.words.len() - 1)
    }

    /// Returns true if a register is a divisor. WGSL leaves division by a literal zero undefined, so such a constant
    /// is read from the parameters.
    pub(super) fn divides(&self, register: usize) -> bool {
        let by =
            |instr: &Instr| matches!(instr, Instr::Binary(Binary::Div, _, b) if *b == register);
        self.program.code.iter().any(by)
    }

    /// Returns true if an input is contiguous in the order of the domain.
    pub(super) fn is_flat(&self, input: usize) -> bool {
        self.loops.strides[input] == crate::ir::shape::strides(&self.loops.sizes)
    }
}
