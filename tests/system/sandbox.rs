//! A folder in which tests start the binary as by a user.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use prospr::datasets::{Label, Split, mnist5k};
use tempfile::TempDir;

/// A temporary folder with a small data set in MNIST's format, in which commands are run.
pub struct Sandbox {
    pub folder: TempDir,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let folder = tempfile::tempdir().unwrap();
        let data = mnist5k();
        for (prefix, split, count) in [("train", data.train, 384), ("t10k", data.test, 100)] {
            write_idx(folder.path(), prefix, &split, count);
        }
        Sandbox { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prospr"));
        command
            .args(args.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("PROSPR_DEVICE")
            .env_remove("PROSPR_MEMORY");
        command
    }

    fn prospr(&self, args: &str) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must fail, with an environment variable set; returns its error output.
    pub fn run_with(&self, variable: &str, value: &str, args: &str) -> String {
        let output = self.command(args).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}");
        text(&output.stderr)
    }

    /// Runs a command that must succeed; returns its standard output and its error output.
    pub fn good(&self, args: &str) -> (String, String) {
        let output = self.prospr(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{args}:\n{out}\n{err}");
        (out, err)
    }

    /// Runs a command that must fail with a message that contains all parts.
    pub fn bad(&self, args: &str, parts: &[&str]) {
        let output = self.prospr(args);
        assert_eq!(output.status.code(), Some(1), "{args}: {}", text(&output.stdout));
        has(&text(&output.stderr), parts);
    }

    pub fn start(&self, args: &str) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

fn write_idx(folder: &Path, prefix: &str, split: &Split, count: usize) {
    let [_, h, w] = split.shape;
    let header = |shape: &[usize]| -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|&n| bytes.extend((n as u32).to_be_bytes()));
        bytes
    };
    let mut images = header(&[count, h, w]);
    let mut labels = header(&[count]);
    for index in 0..count {
        let sample = split.sample(index).unwrap();
        images.extend(&*sample.image.pixels);
        let Label::Class(class) = sample.label else { panic!("digits have classes") };
        labels.push(class as u8);
    }
    std::fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
    std::fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
}

/// Settings of small runs on the CPU, for methods that read images.
pub const SMALL: &str = "--device cpu --data mnist --data-dir . --batch-size 32 --prune-batch-size 32 --sparsity 0.9 --crop-padding 1";

/// Settings as in [`SMALL`], for methods that read no images.
pub const SMALL_BLIND: &str =
    "--device cpu --data mnist --data-dir . --batch-size 32 --sparsity 0.9 --crop-padding 1";
