//! Manual pages and completions in docs/ are as the programs are.

use std::path::Path;
use std::process::Command;

use crate::support::program;

/// What is made of each program, and where it is kept.
const MADE: [(&str, &str); 4] = [
    ("man", "man/{}.1"),
    ("bash", "completions/{}.bash"),
    ("zsh", "completions/_{}"),
    ("fish", "completions/{}.fish"),
];

#[test]
fn they_are_as_the_programs_are() {
    for name in ["gridftp-cp", "gridftp-fs"] {
        for (what, path) in MADE {
            let output =
                Command::new(program().with_file_name(name)).args(["--generate", what]).output().unwrap();
            assert!(output.status.success(), "{name} --generate {what}");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(path.replace("{}", name));
            let kept = std::fs::read(&path).unwrap_or_default();
            assert!(
                kept == output.stdout,
                "{} is not as {name} is: `cargo xtask docs` writes it",
                path.display()
            );
        }
    }
}

#[test]
fn shells_and_man_can_read_them() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for name in ["gridftp-cp", "gridftp-fs"] {
        let bash = docs.join(format!("completions/{name}.bash"));
        let read = Command::new("bash").arg("-n").arg(&bash).status().unwrap();
        assert!(read.success(), "{}", bash.display());
        let page = std::fs::read_to_string(docs.join(format!("man/{name}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH OPTIONS") && page.contains(".SH EXIT STATUS"));
        // Nothing that roff would take for a request of its own.
        for line in page.lines().filter(|line| line.starts_with('.')) {
            let request = line[1..].split(' ').next().unwrap();
            let known =
                ["TH", "SH", "SS", "TP", "RS", "RE", "PP", "B", "br", "nf", "fi", "ie", "el", "ds", "IP"];
            assert!(known.contains(&request), "{line}");
        }
    }
}
