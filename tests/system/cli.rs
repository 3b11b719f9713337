//! The `prospr` binary, started as by a user.

use std::process::{Command, Output};

fn prospr(args: &[&str], variable: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prospr"));
    command.args(args).env_remove("PROSPR_DEVICE");
    if let Some(value) = variable {
        command.env("PROSPR_DEVICE", value);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn devices_are_listed_with_the_choice() {
    let output = prospr(&["devices"], None);
    let stdout = text(&output.stdout);
    println!("{stdout}");
    assert!(output.status.success());
    for part in
        ["gpu:0", "cpu: ", "driver", "memory", "16-bit floats", "cooperative matrices", "using "]
    {
        assert!(stdout.contains(part), "`{part}` is missing in:\n{stdout}");
    }
    let forced = text(&prospr(&["devices"], Some("cpu")).stdout);
    assert!(forced.contains("using cpu: ") && forced.contains("PROSPR_DEVICE=cpu"), "{forced}");
}

#[test]
fn an_unknown_device_is_an_error_that_lists_all_devices() {
    for (args, variable) in
        [(&["devices", "--device", "gpu:97"][..], None), (&["devices"], Some("gpu:97"))]
    {
        let output = prospr(args, variable);
        let stderr = text(&output.stderr);
        assert!(!output.status.success());
        for part in ["gpu:97", "gpu:0: ", "cpu: "] {
            assert!(stderr.contains(part), "`{part}` is missing in:\n{stderr}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_the_command_without_a_message() {
    use std::os::unix::process::ExitStatusExt;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_prospr"));
    let output = command.arg("models").stdout(writer).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE));
}
