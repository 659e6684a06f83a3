//! What every command has in common.

use std::process::Stdio;

use crate::support::Workshop;

#[test]
fn help_and_version_are_data_on_stdout() {
    let workshop = Workshop::new();
    let version = workshop.kiln(&["--version"]).success();
    assert_eq!(version.stdout, format!("kiln {}\n", env!("CARGO_PKG_VERSION")));
    let help = workshop.kiln(&["help"]).success();
    for command in ["train", "sample", "eval", "check", "devices", "completions", "Exit codes"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
    }
    assert_eq!((help.stderr.as_str(), version.stderr.as_str()), ("", ""));
}

#[test]
fn a_wrong_command_line_is_reported_on_stderr_with_code_2() {
    let workshop = Workshop::new();
    let option = "did you mean `--json`?";
    let mistakes = [
        (&["chek", "a.toml"][..], "Usage"),
        (&["check"], "Usage"),
        (&["check", "a.toml", "--jsno"], option),
        (&[], "Usage"),
    ];
    for (arguments, words) in mistakes {
        let finished = workshop.kiln(arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
    assert!(workshop.kiln(&["chek"]).stderr.contains("'check'"));
}

#[test]
fn every_shell_gets_its_completions() {
    let workshop = Workshop::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = workshop.kiln(&["completions", shell]).success().stdout;
        assert!(script.contains("kiln") && script.contains("checkpoint"), "{shell}: {script}");
    }
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let workshop = Workshop::with_config("tiny/rnn.toml");
    let mut child = workshop
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kiln can be started");
    // Closed before the first byte is read: the next write of the child fails, unless it was quicker.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("kiln ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_output_is_reported() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has this device");
    let workshop = Workshop::new();
    let output = workshop
        .command(&["completions", "bash"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .expect("kiln can be started");
    assert_eq!(output.status.code(), Some(3));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("No space left") && !printed.contains("panicked"), "{printed}");
}
