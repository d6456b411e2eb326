//! The house rules that a compiler does not check: who may use whom, where `unsafe` may stand, how long a file may be.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each layer may use, besides itself. The order is that of ARCHITECTURE.md: only what stands left, or a leaf.
const LAYERS: [(&str, &[&str]); 17] = [
    // Leaves: pure, used by all, using each other only.
    ("error", &["url", "protocol"]),
    ("url", &["error", "protocol"]),
    ("options", &["error"]),
    ("types", &["error", "protocol"]),
    ("protocol", &["error", "types"]),
    ("credential", &["error", "protocol"]),
    // A table for people; no code.
    ("from_c", &[]),
    // What holds of the leaves, for tests and for `cargo fuzz`.
    ("fuzzing", &["error", "protocol", "types", "url"]),
    // Covers of private items for the benches; not in the library.
    ("bench", &["error", "protocol", "session", "types"]),
    // Switches of unit tests; not in the library.
    ("hooks", &[]),
    // The engine knows no FTP: it gets addresses, bytes and credentials, and gives errors.
    ("engine", &["error"]),
    // Data channels as a session sees them: C's, or ours.
    ("channel", &["engine", "error", "protocol", "types"]),
    ("session", &["channel", "engine", "credential", "error", "options", "protocol", "types", "url"]),
    ("client", &["session", "engine", "credential", "error", "options", "protocol", "types", "url"]),
    ("ops", &["client", "session", "credential", "error", "options", "protocol", "types", "url"]),
    ("data", &["client", "session", "credential", "error", "options", "protocol", "types", "url"]),
    ("transfer", &["client", "ops", "data", "credential", "error", "options", "protocol", "types", "url"]),
];

/// Layers without I/O, clocks that wait, and C. A credential may be read from a file.
const PURE: [&str; 6] = ["error", "url", "options", "types", "protocol", "fuzzing"];
const IMPURE: [&str; 8] =
    ["tokio", "libc", "rustix", "globus_sys", "std::fs", "std::process", "std::thread", "TcpStream"];

const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    gridftp_lab::rust_sources(root(), folder).unwrap()
}

/// The text without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"', '\'']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let skipped = if from.starts_with("//") {
            from.find('\n').unwrap_or(from.len())
        } else if from.starts_with("/*") {
            from.find("*/").map_or(from.len(), |end| end + 2)
        } else if from.starts_with('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before[..before.len() - hashes].ends_with('r');
            if raw { raw_string(from, hashes) } else { quoted(from) }
        } else if from.starts_with("'\\") || from.chars().nth(2) == Some('\'') {
            // A character, not a lifetime.
            1 + from[1..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        } else {
            out.push_str(&from[..1]);
            1
        };
        rest = &from[skipped..];
    }
    out + rest
}

fn raw_string(from: &str, hashes: usize) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    from[1..].find(&end).map_or(from.len(), |at| 1 + at + end.len())
}

fn quoted(from: &str) -> usize {
    let mut escaped = false;
    for (at, c) in from.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    from.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a word (or a path) stands in the code by itself.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word))
}

/// The first names behind every `crate::`, those of a group in braces one by one.
fn used(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for at in words(code, "crate") {
        let Some(behind) = code[at + 5..].trim_start().strip_prefix("::") else { continue };
        let Some(group) = behind.trim_start().strip_prefix('{') else {
            names.push(first_name(behind));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.push(first_name(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|&c| is_word(c)).collect()
}

/// The layer that each name of the crate's root comes from.
fn exported() -> BTreeMap<String, String> {
    let lib = code(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let mut names = BTreeMap::new();
    for statement in lib.split("pub use ").skip(1) {
        let statement = statement.split(';').next().unwrap();
        let Some((layer, rest)) = statement.split_once("::") else { continue };
        for name in rest.trim_matches(['{', '}']).split(',') {
            names.insert(name.rsplit("::").next().unwrap().trim().to_owned(), layer.trim().to_owned());
        }
    }
    names
}

fn layer_of(path: &Path) -> String {
    path.iter().nth(1).unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// How many modules deep a file is below the crate's root.
fn depth_of(path: &Path) -> usize {
    let parts = path.iter().count() - 1;
    if path.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// The lines with `super::super::…` that leads out of a file so many modules deep, or further. Modules within the file, as
/// those of tests, are steps of their own.
fn ways_out(code: &str, depth: usize) -> Vec<&str> {
    let mut inner = Vec::new();
    let mut braces = 0_usize;
    let mut found = Vec::new();
    for line in code.lines() {
        let opens_module = words(line, "mod").next().is_some() && line.contains('{');
        let steps = words(line, "super").filter(|&at| line[at + 5..].starts_with("::")).map(|at| {
            let mut steps = 0;
            let mut rest = &line[at..];
            while let Some(behind) = rest.strip_prefix("super::") {
                (steps, rest) = (steps + 1, behind);
            }
            steps
        });
        if steps.max().is_some_and(|steps| steps >= depth + inner.len() + usize::from(opens_module)) {
            found.push(line.trim());
        }
        for c in line.chars() {
            match c {
                '{' => {
                    if opens_module && inner.last() != Some(&braces) {
                        inner.push(braces);
                    }
                    braces += 1;
                }
                '}' => {
                    braces = braces.saturating_sub(1);
                    if inner.last() == Some(&braces) {
                        inner.pop();
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// What in a file goes against the arrows.
fn against_the_arrows(path: &Path, text: &str, exported: &BTreeMap<String, String>) -> Vec<String> {
    let layer = layer_of(path);
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![format!(
            "{}: the layer `{layer}` has no place in the table of tests/layers.rs",
            path.display()
        )];
    };
    let code = code(text);
    let mut wrong = Vec::new();
    for name in used(&code) {
        let target = exported.get(&name).unwrap_or(&name);
        // Switches of unit tests may be anywhere: tests/rules sees to it that they are there for tests only.
        if *target != layer && target != "hooks" && !allowed.contains(&target.as_str()) {
            wrong.push(format!("{}: `{layer}` uses `{target}` (crate::{name})", path.display()));
        }
    }
    // The way around: as many steps up as it takes to leave the layer.
    for line in ways_out(&code, depth_of(path)) {
        wrong.push(format!("{}: leaves its layer: {line}", path.display()));
    }
    if layer != "engine" && words(&code, "globus_sys").next().is_some() {
        wrong.push(format!("{}: only the engine speaks to C", path.display()));
    }
    if !["credential", "transfer"].contains(&layer.as_str()) && words(&code, "openssl").next().is_some() {
        wrong.push(format!("{}: only credentials are read, and files hashed, with OpenSSL", path.display()));
    }
    // Tests may read what is kept for them, such as the fuzzer's corpus.
    if PURE.contains(&layer.as_str()) && path != Path::new("src/fuzzing/tests.rs") {
        for word in IMPURE.iter().filter(|word| words(&code, word).next().is_some()) {
            wrong.push(format!("{}: `{layer}` is pure, and mentions {word}", path.display()));
        }
    }
    wrong
}

/// Reports everything that is wrong at once.
#[track_caller]
fn nothing(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_layer_uses_only_what_stands_left_of_it() {
    let exported = exported();
    assert_eq!(exported["Client"], "client");
    assert_eq!(exported["ErrorKind"], "error");
    let files = sources("src");
    assert!(files.len() > 50, "{}", files.len());
    let below = files.iter().filter(|(path, _)| path.as_path() != Path::new("src/lib.rs"));
    nothing(below.flat_map(|(path, text)| against_the_arrows(path, text, &exported)).collect());
}

#[test]
fn unsafe_code_stands_in_the_engine_only() {
    let mut wrong = Vec::new();
    let mut inside = 0;
    for (path, text) in ["src", "examples", "benches", "tests"].into_iter().flat_map(sources) {
        let code = code(&text);
        let count = words(&code, "unsafe").count();
        if path.starts_with("src/engine") {
            inside += count;
        } else if count > 0 {
            wrong.push(format!("{}: {count} times unsafe", path.display()));
        }
    }
    assert!(inside > 10, "the engine has none: is it still where it was?");
    nothing(wrong);
}

#[test]
fn no_file_is_too_long() {
    let long = sources("src").into_iter().filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > LONGEST).then(|| format!("{}: {lines} lines, at most {LONGEST}", path.display()))
    });
    nothing(long.collect());
}

#[test]
fn every_folder_says_what_lives_there_and_what_must_not() {
    let mods =
        sources("src").into_iter().filter(|(path, _)| path.ends_with("mod.rs") && path.iter().count() == 3);
    let silent = mods.filter(|(_, text)| {
        let prose: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        prose.len() < 100 || !["Never here", "must never live here"].iter().any(|words| prose.contains(words))
    });
    nothing(
        silent.map(|(path, _)| format!("{}: no word about what is never here", path.display())).collect(),
    );
}

/// The rules find what they look for.
#[test]
fn the_rules_have_teeth() {
    let exported = exported();
    let count = |path: &str, text: &str| against_the_arrows(Path::new(path), text, &exported).len();
    for (path, text) in [
        ("src/session/get.rs", "use crate::client::Client;"),
        ("src/session/get.rs", "use crate::{error::Error, data::Get};"),
        ("src/session/get.rs", "use crate::{\n    error::{Error, Result},\n    Client,\n};"),
        ("src/session/get.rs", "fn f() { crate :: ops::x() }"),
        ("src/session/get.rs", "use super::super::client;"),
        ("src/session/mod.rs", "use super::client;"),
        ("src/session/control/slot.rs", "use super::super::super::client;"),
        ("src/session/mod.rs", "mod tests {\n    use super::super::client;\n}"),
        ("src/session/mod.rs", "mod tests {\n    use super::*;\n}\nuse super::client;"),
        ("src/session/get.rs", "use globus_sys::globus_off_t;"),
        ("src/engine/port.rs", "use crate::session::Session;"),
        ("src/engine/port.rs", "use crate::protocol::command::Command;"),
        ("src/protocol/reply.rs", "use tokio::net::TcpListener;"),
        ("src/url/mod.rs", "fn f() { std::fs::read(\"x\"); }"),
        ("src/ops/metadata.rs", "use crate::data::Get;"),
        ("src/session/login.rs", "use openssl::x509::X509;"),
        ("src/new/mod.rs", ""),
    ] {
        assert_eq!(count(path, text), 1, "{path}: {text}");
    }
    for (path, text) in [
        (
            "src/session/get.rs",
            "use crate::error::{Error, Client};\nuse super::channel;\nuse crate::session::x;",
        ),
        (
            "src/session/get.rs",
            "// use crate::client;\n/// See [`crate::Client`].\nconst A: &str = \"crate::client\";",
        ),
        (
            "src/session/get.rs",
            "const A: char = '\"'; const B: &str = r#\"\"crate::client\"#; fn f<'a>(x: &'a str) {}",
        ),
        ("src/data/get.rs", "use crate::client::Client;\nuse crate::ErrorKind;"),
        ("src/url/mod.rs", "#[cfg(test)] mod tests {\n    use super::*;\n}"),
        ("src/url/mod.rs", "mod sealed {\n    impl Sealed for super::Url {}\n}"),
        ("src/error.rs", "mod tests {\n    use super::*;\n    fn f() { if true { super::g() } }\n}"),
        ("src/error.rs", "use std::sync::Arc;\nuse crate::url::Url;"),
    ] {
        assert_eq!(count(path, text), 0, "{path}: {text}");
    }
    assert_eq!(words(&code("unsafe { } // unsafe\n#![forbid(unsafe_code)] \"unsafe\""), "unsafe").count(), 1);
}
