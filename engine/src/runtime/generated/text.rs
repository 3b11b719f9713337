//! Programs as WGSL.
//!
//! The text depends on the code and on the pattern of the strides, not on sizes, so that layers of different
//! size share a pipeline. Sizes, strides and constants are words of the parameter buffer.

use std::fmt::Write;

use crate::DType;
use crate::graph::program::{Instr, Loops, Program};
use crate::op::{Binary, Compare, Logic, Unary};

/// How elements are divided among invocations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// An invocation stores `run` elements of a row.
    Store { run: usize },
    /// An invocation sums `rows` rows, or a `part` of one, one after the other.
    Serial { rows: usize, part: usize },
    /// A workgroup sums `each` elements of what belongs to one output.
    Tree { each: usize },
    /// An invocation sums `rows` elements of a column.
    Column { rows: usize },
}

/// A kernel and its parameters.
pub(super) struct Text {
    pub source: String,
    pub words: Vec<u32>,
    /// Invocations, or workgroups for [`Shape::Tree`].
    pub tasks: usize,
    /// Partial sums of each output element.
    pub splits: usize,
}

/// The kernel of a program. In `quads`, loops count fours of elements.
pub(super) fn write(
    program: &Program,
    loops: &Loops,
    quads: bool,
    shape: Shape,
    workgroup: usize,
) -> Text {
    let mut writer = Writer {
        program,
        loops,
        quads,
        words: Vec::new(),
        body: String::new(),
        depth: 1,
    };
    let (tasks, splits) = writer.kernel(shape, workgroup);
    let mut source = String::new();
    let mut binding = 0;
    let mut buffer = |name: String, element: &str| {
        let _ = writeln!(
            source,
            "@group(0) @binding({binding}) var<storage, read_write> {name}: array<{element}>;"
        );
        binding += 1;
    };
    let element = |dtype: DType, quads: bool| {
        let one = match dtype {
            DType::F32 | DType::F64 => "f32",
            DType::I32 | DType::U8 => "i32",
            DType::Bool => "u32",
        };
        if quads {
            format!("vec4<{one}>")
        } else {
            one.to_string()
        }
    };
    for (index, input) in program.inputs.iter().enumerate() {
        let several = quads && *loops.strides[index].last().expect("an axis") == 1;
        buffer(format!("in{index}"), &element(input.dtype, several));
    }
    // What is summed along the innermost axis is one element.
    let several = quads && matches!(shape, Shape::Store { .. } | Shape::Column { .. });
    for (index, output) in program.outputs.iter().enumerate() {
        buffer(format!("out{index}"), &element(output.dtype, several));
    }
    buffer("p".into(), "u32");
    if let Shape::Tree { .. } = shape {
        for index in 0..program.outputs.len() {
            let _ = writeln!(
                source,
                "var<workgroup> tree{index}: array<f32, {workgroup}>;"
            );
        }
    }
    source.push_str(&HELPERS.replace("NUM", writer.number()));
    let _ = write!(
        source,
        "@compute @workgroup_size({workgroup}, 1, 1)\nfn main(\n    \
         @builtin(workgroup_id) group: vec3<u32>,\n    \
         @builtin(num_workgroups) groups: vec3<u32>,\n    \
         @builtin(local_invocation_index) lane: u32,\n) {{\n{}}}\n",
        writer.body
    );
    Text {
        source,
        words: writer.words,
        tasks,
        splits,
    }
}

/// What WGSL lacks, or has with too narrow a range.
const HELPERS: &str = "\
fn log1p(x: NUM) -> NUM {
    let y = x + 1.0;
    return select(log(y) * (x / (y - 1.0)), x, y == NUM(1.0));
}
fn tanh_of(x: NUM) -> NUM { return tanh(clamp(x, NUM(-15.0), NUM(15.0))); }
fn sigmoid(x: NUM) -> NUM { return 1.0 / (1.0 + exp(-x)); }
fn softplus(x: NUM) -> NUM { return max(x, NUM(0.0)) + log1p(exp(-abs(x))); }
fn erf(x: NUM) -> NUM {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let q = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let near = a * (1.1283791671 - a * a * (0.3761263890 - a * a * (0.1128379167 - a * a * 0.0268661706)));
    return sign(x) * select(1.0 - q * exp(-a * a), near, a < NUM(0.25));
}
";

struct Writer<'a> {
    program: &'a Program,
    loops: &'a Loops,
    quads: bool,
    words: Vec<u32>,
    body: String,
    depth: usize,
}

impl Writer<'_> {
    /// The type of a register that holds a number.
    fn number(&self) -> &'static str {
        if self.quads { "vec4<f32>" } else { "f32" }
    }

    /// The type of a register's bits.
    fn bits(&self) -> &'static str {
        if self.quads { "vec4<u32>" } else { "u32" }
    }

    /// A number that the text does not depend on.
    fn word(&mut self, value: usize) -> String {
        self.words.push(value as u32);
        format!("p[{}u]", self.words.len() - 1)
    }

    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.body.push_str("    ");
        }
        self.body.push_str(text);
        self.body.push('\n');
    }

    fn open(&mut self, text: &str) {
        self.line(text);
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    fn size(&self, axes: &[usize]) -> usize {
        axes.iter().map(|&a| self.loops.sizes[a]).product()
    }

    /// Declares the coordinates `c<axis>` of a row-major index along some axes.
    fn decode(&mut self, index: &str, axes: &[usize]) {
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

    /// The offset into an input from the coordinates of some axes.
    fn offset(&mut self, input: usize, axes: &[usize]) -> String {
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
        if terms.is_empty() {
            "0u".into()
        } else {
            terms.join(" + ")
        }
    }

    /// Declares `b<input><suffix> = before + offset` for every input.
    fn bases(&mut self, suffix: &str, before: Option<&str>, axes: &[usize]) {
        for input in 0..self.program.inputs.len() {
            let own = self.offset(input, axes);
            let text = match before {
                Some(before) => format!("b{input}{before} + {own}"),
                None => own,
            };
            self.line(&format!("let b{input}{suffix} = {text};"));
        }
    }

    fn last(&self) -> usize {
        self.loops.sizes.len() - 1
    }

    /// Registers that change along the innermost axis.
    fn varying(&self) -> Vec<bool> {
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

    /// The registers that do (or do not) change along the innermost axis, where the wanted ones are given.
    /// Inputs are read at `b<input><suffix>`, plus the coordinate of the innermost axis for those that do.
    fn registers(&mut self, suffix: &str, wanted: &[bool], flat: Option<&str>) {
        let inner = self.last();
        for (index, instr) in self.program.code.iter().enumerate() {
            if !wanted[index] {
                continue;
            }
            let r = |i: usize| format!("x{i}");
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
                    let single = self.quads && self.loops.strides[input][inner] == 0;
                    match self.program.inputs[input].dtype {
                        DType::F32 | DType::F64 if !single => element,
                        DType::Bool if single => format!("vec4<bool>({element} != 0u)"),
                        DType::Bool => format!("({element} != {}(0u))", self.bits()),
                        _ if single => format!("vec4<f32>(f32({element}))"),
                        _ => format!("{}({element})", self.number()),
                    }
                }
                Instr::Const(value) if self.divides(index) => self.parameter(value as f32),
                Instr::Const(value) => self.constant(value as f32),
                Instr::Unary(op, x) => {
                    let number = self.number();
                    unary(op, &r(x), number, |p| self.constant(p as f32))
                }
                Instr::Binary(op, a, b) => {
                    let sign = match op {
                        Binary::Add => "+",
                        Binary::Sub => "-",
                        Binary::Mul => "*",
                        Binary::Div => "/",
                    };
                    format!("x{a} {sign} x{b}")
                }
                Instr::Compare(op, a, b) => {
                    let sign = match op {
                        Compare::Eq => "==",
                        Compare::Gt => ">",
                        Compare::Ge => ">=",
                        Compare::Lt => "<",
                        Compare::Le => "<=",
                    };
                    format!("x{a} {sign} x{b}")
                }
                Instr::Logic(Logic::And, a, b) => format!("x{a} & x{b}"),
                Instr::Logic(Logic::Or, a, b) => format!("x{a} | x{b}"),
                Instr::Logic(Logic::Not, a, _) => format!("!x{a}"),
                Instr::Select(c, a, b) => format!("select(x{b}, x{a}, x{c})"),
                // By its bits: compilers may take for granted that numbers are finite.
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

    /// Simple fractions are part of the text; all else is a word, so that a learning rate that changes does
    /// not make a new pipeline.
    fn constant(&mut self, value: f32) -> String {
        let simple = value.abs() <= 16.0 && (value * 8.0).fract() == 0.0;
        if simple {
            return format!("{}({value:?}f)", self.number());
        }
        self.parameter(value)
    }

    /// A number that the compiler does not see.
    fn parameter(&mut self, value: f32) -> String {
        self.words.push(value.to_bits());
        format!(
            "{}(bitcast<f32>(p[{}u]))",
            self.number(),
            self.words.len() - 1
        )
    }

    /// Whether something is divided by a register: compilers may do as they like with a literal zero there.
    fn divides(&self, register: usize) -> bool {
        let by =
            |instr: &Instr| matches!(instr, Instr::Binary(Binary::Div, _, b) if *b == register);
        self.program.code.iter().any(by)
    }

    /// Whether an input's elements lie in the order of the domain.
    fn is_flat(&self, input: usize) -> bool {
        self.loops.strides[input] == crate::shape::strides(&self.loops.sizes)
    }

    fn kernel(&mut self, shape: Shape, workgroup: usize) -> (usize, usize) {
        let index = format!("(group.y * groups.x + group.x) * {workgroup}u + lane");
        match shape {
            Shape::Store { run } => self.store(run, &index),
            Shape::Serial { rows, part } => self.serial(rows, part, &index),
            Shape::Tree { each } => self.tree(each, workgroup),
            Shape::Column { rows } => self.column(rows, &index),
        }
    }

    /// Leaves where there is nothing to do.
    fn guard(&mut self, index: &str, tasks: usize) {
        self.line(&format!("let task = {index};"));
        let tasks = self.word(tasks);
        self.line(&format!("if task >= {tasks} {{ return; }}"));
    }

    fn results(&mut self, at: &str) {
        for (index, output) in self.program.outputs.iter().enumerate() {
            let r = output.register;
            let value = match output.dtype {
                DType::Bool => {
                    let bits = self.bits();
                    format!("select({bits}(0u), {bits}(1u), x{r})")
                }
                _ => format!("x{r}"),
            };
            self.line(&format!("out{index}[{at}] = {value};"));
        }
    }

    fn store(&mut self, run: usize, index: &str) -> (usize, usize) {
        let last = self.last();
        let outer: Vec<usize> = (0..last).collect();
        let (rows, inner) = (self.size(&outer), self.loops.sizes[last]);
        let everything = vec![true; self.program.code.len()];
        if run == 1 {
            self.guard(index, rows * inner);
            let axes: Vec<usize> = (0..=last).collect();
            if !(0..self.program.inputs.len()).all(|i| self.is_flat(i)) {
                self.decode("task", &axes);
                self.bases("", None, &outer);
            }
            self.registers("", &everything, Some("task"));
            self.results("task");
            return (rows * inner, 1);
        }
        let runs = inner.div_ceil(run);
        self.guard(index, rows * runs);
        let (runs_word, inner_word) = (self.word(runs), self.word(inner));
        self.line(&format!("let row = task / {runs_word};"));
        self.line(&format!("let first = (task % {runs_word}) * {run}u;"));
        self.line(&format!("let inner = {inner_word};"));
        self.decode("row", &outer);
        self.bases("", None, &outer);
        let varying = self.varying();
        let fixed: Vec<bool> = varying.iter().map(|v| !v).collect();
        self.registers("", &fixed, None);
        self.line(&format!("let end = min(first + {run}u, inner);"));
        self.open(&format!(
            "for (var c{last} = first; c{last} < end; c{last}++) {{"
        ));
        self.registers("", &varying, None);
        self.results(&format!("row * inner + c{last}"));
        self.close();
        (rows * runs, 1)
    }

    fn sums(&mut self, name: &str) {
        for index in 0..self.program.outputs.len() {
            let number = self.number();
            self.line(&format!("var {name}{index} = {number}(0.0);"));
        }
    }

    fn add(&mut self, name: &str) {
        for (index, output) in self.program.outputs.iter().enumerate() {
            self.line(&format!("{name}{index} += x{};", output.register));
        }
    }

    /// A sum's elements along the innermost axis as one.
    fn total(&self, index: usize) -> String {
        match self.quads {
            true => format!("(sum{index}.x + sum{index}.y) + (sum{index}.z + sum{index}.w)"),
            false => format!("sum{index}"),
        }
    }

    fn serial(&mut self, rows_each: usize, part: usize, index: &str) -> (usize, usize) {
        let last = self.last();
        let (kept, summed) = (self.loops.outer(false), self.loops.outer(true));
        let (outputs, rows, inner) = (self.size(&kept), self.size(&summed), self.loops.sizes[last]);
        let parts = inner.div_ceil(part);
        let splits = rows.div_ceil(rows_each) * parts;
        self.guard(index, outputs * splits);
        let words = [splits, parts, rows_each, rows, part, inner].map(|n| self.word(n));
        let [
            splits_word,
            parts_word,
            each,
            rows_word,
            part_word,
            inner_word,
        ] = &words;
        self.line(&format!("let output = task / {splits_word};"));
        self.line(&format!("let piece = task % {splits_word};"));
        self.line(&format!("let first_row = (piece / {parts_word}) * {each};"));
        self.line(&format!(
            "let end_row = min(first_row + {each}, {rows_word});"
        ));
        self.line(&format!(
            "let first = (piece % {parts_word}) * {part_word};"
        ));
        self.line(&format!(
            "let end = min(first + {part_word}, {inner_word});"
        ));
        self.decode("output", &kept);
        self.bases("k", None, &kept);
        self.sums("sum");
        self.open("for (var row = first_row; row < end_row; row++) {");
        self.decode("row", &summed);
        self.bases("", Some("k"), &summed);
        let varying = self.varying();
        let fixed: Vec<bool> = varying.iter().map(|v| !v).collect();
        self.registers("", &fixed, None);
        self.sums("part");
        self.open(&format!(
            "for (var c{last} = first; c{last} < end; c{last}++) {{"
        ));
        self.registers("", &varying, None);
        self.add("part");
        self.close();
        for index in 0..self.program.outputs.len() {
            self.line(&format!("sum{index} += part{index};"));
        }
        self.close();
        let outputs_word = self.word(outputs);
        for index in 0..self.program.outputs.len() {
            let sum = self.total(index);
            self.line(&format!(
                "out{index}[piece * {outputs_word} + output] = {sum};"
            ));
        }
        (outputs * splits, splits)
    }

    fn tree(&mut self, each: usize, workgroup: usize) -> (usize, usize) {
        let last = self.last();
        let (kept, mut summed) = (self.loops.outer(false), self.loops.outer(true));
        summed.push(last);
        let (outputs, count) = (self.size(&kept), self.size(&summed));
        let splits = count.div_ceil(each);
        self.guard("group.y * groups.x + group.x", outputs * splits);
        let words = [splits, each, count, outputs].map(|n| self.word(n));
        let [splits_word, each_word, count_word, outputs_word] = &words;
        self.line(&format!("let output = task / {splits_word};"));
        self.line(&format!("let piece = task % {splits_word};"));
        self.line(&format!(
            "let end = min((piece + 1u) * {each_word}, {count_word});"
        ));
        self.decode("output", &kept);
        self.bases("k", None, &kept);
        self.sums("sum");
        self.open(&format!(
            "for (var e = piece * {each_word} + lane; e < end; e += {workgroup}u) {{"
        ));
        self.decode("e", &summed);
        let rows: Vec<usize> = summed[..summed.len() - 1].to_vec();
        self.bases("", Some("k"), &rows);
        self.registers("", &vec![true; self.program.code.len()], None);
        self.add("sum");
        self.close();
        for index in 0..self.program.outputs.len() {
            let sum = self.total(index);
            self.line(&format!("tree{index}[lane] = {sum};"));
        }
        self.line("workgroupBarrier();");
        self.open(&format!(
            "for (var half = {}u; half > 0u; half /= 2u) {{",
            workgroup / 2
        ));
        self.open("if lane < half {");
        for index in 0..self.program.outputs.len() {
            self.line(&format!("tree{index}[lane] += tree{index}[lane + half];"));
        }
        self.close();
        self.line("workgroupBarrier();");
        self.close();
        self.open("if lane == 0u {");
        for index in 0..self.program.outputs.len() {
            self.line(&format!(
                "out{index}[piece * {outputs_word} + output] = tree{index}[0];"
            ));
        }
        self.close();
        (outputs * splits, splits)
    }

    fn column(&mut self, rows_each: usize, index: &str) -> (usize, usize) {
        let last = self.last();
        let (mut kept, summed) = (self.loops.outer(false), self.loops.outer(true));
        kept.push(last);
        let (outputs, rows) = (self.size(&kept), self.size(&summed));
        let splits = rows.div_ceil(rows_each);
        self.guard(index, outputs * splits);
        let words = [outputs, rows_each, rows].map(|n| self.word(n));
        let [outputs_word, each, rows_word] = &words;
        self.line(&format!("let output = task % {outputs_word};"));
        self.line(&format!(
            "let first_row = (task / {outputs_word}) * {each};"
        ));
        self.line(&format!(
            "let end_row = min(first_row + {each}, {rows_word});"
        ));
        self.decode("output", &kept);
        let outer = self.loops.outer(false);
        self.bases("k", None, &outer);
        self.sums("sum");
        self.open("for (var row = first_row; row < end_row; row++) {");
        self.decode("row", &summed);
        self.bases("", Some("k"), &summed);
        self.registers("", &vec![true; self.program.code.len()], None);
        self.add("sum");
        self.close();
        for index in 0..self.program.outputs.len() {
            self.line(&format!("out{index}[task] = sum{index};"));
        }
        (outputs * splits, splits)
    }
}

fn unary(op: Unary, x: &str, number: &str, mut constant: impl FnMut(f64) -> String) -> String {
    match op {
        Unary::Neg => format!("-{x}"),
        Unary::Exp => format!("exp({x})"),
        Unary::Log => format!("log({x})"),
        Unary::Log1p => format!("log1p({x})"),
        Unary::Sqrt => format!("sqrt({x})"),
        Unary::Recip => format!("1.0 / {x}"),
        Unary::Abs => format!("abs({x})"),
        Unary::Sign => format!("sign({x})"),
        Unary::Floor => format!("floor({x})"),
        Unary::Sin => format!("sin({x})"),
        Unary::Cos => format!("cos({x})"),
        Unary::Tanh => format!("tanh_of({x})"),
        Unary::Sigmoid => format!("sigmoid({x})"),
        Unary::Softplus => format!("softplus({x})"),
        // What is not a number stays so.
        Unary::Relu => format!("select({x}, {number}(0.0), {x} <= {number}(0.0))"),
        Unary::Erf => format!("erf({x})"),
        Unary::Powf(p) if p == -0.5 => format!("1.0 / sqrt({x})"),
        Unary::Powf(p) => format!("pow({x}, {})", constant(p)),
    }
}
