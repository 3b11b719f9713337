//! WGSL loops of generated kernels, for each division of the elements among invocations.

use super::text::{Division, Width, Writer};
use crate::DType;

impl Writer<'_> {
    /// Writes the body; returns the number of tasks (invocations, or workgroups of a tree) and of partial sums per
    /// output element.
    pub(super) fn kernel(&mut self, division: Division, workgroup: usize) -> (usize, usize) {
        let index = format!("(group.y * groups.x + group.x) * {workgroup}u + lane");
        match division {
            Division::Store { run } => self.store(run, &index),
            Division::Serial { rows, part } => self.serial(rows, part, &index),
            Division::Tree { each } => self.tree(each, workgroup),
            Division::Column { rows } => self.column(rows, &index),
        }
    }

    /// Declares the task of an invocation, and ends invocations that have none.
    fn guard(&mut self, index: &str, tasks: usize) {
        self.line(&format!("let task = {index};"));
        let tasks = self.word(tasks);
        self.line(&format!("if task >= {tasks} {{ return; }}"));
    }

    /// Writes the stores of all outputs at an index.
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

    /// Writes a kernel that stores `run` elements of a row per invocation.
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
        self.along(|writer| {
            writer.registers("", &varying, None);
            writer.results(&format!("row * inner + c{last}"));
        });
        (rows * runs, 1)
    }

    /// Writes the body for each coordinate of the innermost axis from `first` to `end`, four per iteration, because on
    /// a software rasterizer an iteration takes about as long as reading an element.
    fn along(&mut self, body: impl Fn(&mut Self)) {
        let c = format!("c{}", self.last());
        self.line("let whole = first + (max(end, first) - first) / 4u * 4u;");
        self.open("for (var turn = first; turn < whole; turn += 4u) {");
        for step in 0..4 {
            self.open("{");
            self.line(&format!("let {c} = turn + {step}u;"));
            self.halves(&body);
            self.close();
        }
        self.close();
        self.open(&format!("for (var {c} = whole; {c} < end; {c}++) {{"));
        self.halves(&body);
        self.close();
    }

    /// Writes the body once, or for both halves of 64-bit loads.
    fn halves(&mut self, body: &impl Fn(&mut Self)) {
        if self.width != Width::Eight {
            return body(self);
        }
        let last = self.last();
        for input in 0..self.program.inputs.len() {
            if self.loops.strides[input][last] == 1 {
                self.line(&format!("let w{input} = in{input}[b{input} + c{last}];"));
            }
        }
        for half in ["even", "odd"] {
            self.half = half;
            self.open("{");
            body(self);
            self.close();
        }
    }

    /// Declares one sum for each output, initially 0.
    fn sums(&mut self, name: &str) {
        for index in 0..self.program.outputs.len() {
            let number = self.number();
            self.line(&format!("var {name}{index} = {number}(0.0);"));
        }
    }

    /// Adds each output's register to its sum.
    fn add(&mut self, name: &str) {
        for (index, output) in self.program.outputs.iter().enumerate() {
            self.line(&format!("{name}{index} += x{};", output.register));
        }
    }

    /// Returns WGSL of an output's sum; a vector's elements are added.
    fn total(&self, index: usize) -> String {
        match self.width != Width::One {
            true => format!("(sum{index}.x + sum{index}.y) + (sum{index}.z + sum{index}.w)"),
            false => format!("sum{index}"),
        }
    }

    /// Writes a kernel in which an invocation sums `rows_each` rows, or a part of one row of `part` elements, in
    /// order.
    fn serial(&mut self, rows_each: usize, part: usize, index: &str) -> (usize, usize) {
        let last = self.last();
        let (kept, summed) = (self.loops.outer(false), self.loops.outer(true));
        let (outputs, rows, inner) = (self.size(&kept), self.size(&summed), self.loops.sizes[last]);
        let parts = inner.div_ceil(part);
        let splits = rows.div_ceil(rows_each) * parts;
        self.guard(index, outputs * splits);
        let words = [splits, parts, rows_each, rows, part, inner].map(|n| self.word(n));
        let [splits_word, parts_word, each, rows_word, part_word, inner_word] = &words;
        self.line(&format!("let output = task / {splits_word};"));
        self.line(&format!("let piece = task % {splits_word};"));
        self.line(&format!("let first_row = (piece / {parts_word}) * {each};"));
        self.line(&format!("let end_row = min(first_row + {each}, {rows_word});"));
        self.line(&format!("let first = (piece % {parts_word}) * {part_word};"));
        self.line(&format!("let end = min(first + {part_word}, {inner_word});"));
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
        self.along(|writer| {
            writer.registers("", &varying, None);
            writer.add("part");
        });
        for index in 0..self.program.outputs.len() {
            self.line(&format!("sum{index} += part{index};"));
        }
        self.close();
        let outputs_word = self.word(outputs);
        for index in 0..self.program.outputs.len() {
            let sum = self.total(index);
            self.line(&format!("out{index}[piece * {outputs_word} + output] = {sum};"));
        }
        (outputs * splits, splits)
    }

    /// Writes a kernel in which a workgroup sums `each` elements of one output: each lane its share, then the lanes
    /// pairwise in workgroup memory.
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
        self.line(&format!("let end = min((piece + 1u) * {each_word}, {count_word});"));
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
        self.open(&format!("for (var half = {}u; half > 0u; half /= 2u) {{", workgroup / 2));
        self.open("if lane < half {");
        for index in 0..self.program.outputs.len() {
            self.line(&format!("tree{index}[lane] += tree{index}[lane + half];"));
        }
        self.close();
        self.line("workgroupBarrier();");
        self.close();
        self.open("if lane == 0u {");
        for index in 0..self.program.outputs.len() {
            self.line(&format!("out{index}[piece * {outputs_word} + output] = tree{index}[0];"));
        }
        self.close();
        (outputs * splits, splits)
    }

    /// Writes a kernel in which an invocation sums `rows_each` elements of a column.
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
        self.line(&format!("let first_row = (task / {outputs_word}) * {each};"));
        self.line(&format!("let end_row = min(first_row + {each}, {rows_word});"));
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
