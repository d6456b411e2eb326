//! The table is whole, and what it names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("table.md");

/// How a row shows that its check bites: one of these words begins the last cell.
const BITES: [&str; 6] = ["killed", "hangs", "corrupts", "exits", "url-copy", "not shown"];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    gridftp_lab::rust_sources(root(), folder).unwrap()
}

struct Row {
    rule: String,
    tests: Vec<String>,
    bites: String,
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule"));
    lines
        .map(|line| {
            let cells: Vec<_> =
                line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
            assert_eq!(cells.len(), 4, "four cells: {line}");
            Row { rule: cells[0].clone(), tests: quoted(&cells[2]), bites: cells[3].clone() }
        })
        .collect()
}

/// Whether there is such a test: `path/of/file.rs::name`, or a case of the table of hostile servers in quotes.
fn exists(sources: &BTreeMap<PathBuf, String>, test: &str) -> bool {
    if let Some(case) = test.strip_prefix("hostile: ") {
        let case = format!("\"{case}\"");
        return sources
            .iter()
            .any(|(path, text)| path.starts_with("tests/adverse/hostile") && text.contains(&case));
    }
    let Some((path, name)) = test.split_once("::") else { return false };
    sources.get(Path::new(path)).is_some_and(|text| {
        [format!("fn {name}("), format!("fn {name}<")].iter().any(|start| {
            text.match_indices(start.as_str()).any(|(at, _)| {
                // A test, or a case of a macro that makes tests of properties.
                let before = &text[..at];
                let attribute = before.rfind("#[").map(|at| &before[at..]);
                attribute.is_some_and(|text| {
                    let close = text.lines().count() <= 3;
                    let is_test = ["#[test]", "#[tokio::test"].iter().any(|test| text.starts_with(test));
                    close && is_test
                })
            })
        })
    })
}

#[test]
fn every_rule_has_a_row() {
    let rows = rows();
    let there: BTreeSet<_> = rows.iter().flat_map(|row| row.rule.split(", ").map(str::to_owned)).collect();
    let numbered = (1..=12).flat_map(|n| [format!("K{n}"), format!("C{n}")]);
    let sections = ["§1.1", "§1.5", "§2", "§3.3", "§3.4", "§3.6", "§4.2", "§4.3", "§4.5", "§12", "pipeline"];
    let missing: Vec<_> = numbered
        .chain(sections.map(str::to_owned))
        .filter(|rule| !there.iter().any(|row| row == rule || row.starts_with(&format!("{rule} "))))
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[test]
fn every_test_that_a_row_names_exists() {
    let mut all = sources("src");
    all.extend(sources("tests"));
    let mut gone = Vec::new();
    let rows = rows();
    for row in &rows {
        assert!(!row.tests.is_empty(), "{} names no test", row.rule);
        assert!(BITES.iter().any(|word| row.bites.starts_with(word)), "{}: {}", row.rule, row.bites);
        assert!(
            !row.bites.starts_with("not shown") || row.bites.len() > 30,
            "{}: why is it not shown?",
            row.rule
        );
        gone.extend(row.tests.iter().filter(|test| !exists(&all, test)).map(|test| (&row.rule, test)));
    }
    assert!(gone.is_empty(), "named and not there: {gone:#?}");
    // The search has teeth.
    for wrong in [
        "src/hooks.rs::no_such_test",
        "src/hooks.rs::bites",
        "src/gone.rs::x",
        "hostile: nothing of the kind",
    ] {
        assert!(!exists(&all, wrong), "{wrong}");
    }
    let count = |word: &str| rows.iter().filter(|row| row.bites.starts_with(word)).count();
    let by_end: Vec<_> = BITES.iter().map(|word| format!("{word} {}", count(word))).collect();
    println!("{} rules: {}", rows.len(), by_end.join(", "));
}

/// What the rules say is never called is never called. Comments may speak of it.
#[test]
fn what_must_not_be_called_is_not_called() {
    const NEVER: [&str; 26] = [
        // The control half: C1 to C4, C6.
        "globus_ftp_control_connect",
        "globus_ftp_control_send_command",
        "globus_ftp_control_force_close",
        "globus_ftp_control_authenticate",
        "globus_ftp_control_authenticate_ex",
        "globus_ftp_control_auth_info_init",
        "globus_ftp_control_use_tls",
        "globus_ftp_control_quit",
        "globus_ftp_control_abort",
        // K6, and functions that do nothing or lose buffers.
        "globus_ftp_control_data_read_all",
        "globus_ftp_control_local_send_eof",
        "globus_ftp_control_data_send_eof",
        "globus_ftp_control_data_set_force_order",
        "globus_ftp_control_data_add_channels",
        "globus_ftp_control_data_remove_channels",
        "globus_ftp_control_local_spas",
        // §2: deactivation can wait for ever.
        "globus_module_deactivate",
        "globus_module_deactivate_all",
        // §5, and what blocks in a callback (§1.2).
        "globus_error_peek",
        "globus_cond_wait",
        "globus_cond_timedwait",
        "globus_thread_blocking_will_block",
        // §4.5: names never reach C.
        "globus_libc_getaddrinfo",
        "globus_gss_assist_init_sec_context",
        "globus_gss_assist_acquire_cred",
        "gss_acquire_cred",
    ];
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for name in code.split(|c: char| !is_name(c)) {
                // The client library: K2 to K5, K7 to K9, K11, K12 and all of §4.2.
                if NEVER.contains(&name) || name.starts_with("globus_ftp_client_") {
                    wrong.push(format!("{}:{}: {name}", path.display(), number + 1));
                }
            }
            // §3.6: the stock server answers 226 and hangs up.
            if code.contains("\"ABOR\"") && !path.iter().any(|part| part == "tests" || part == "tests.rs") {
                wrong.push(format!("{}:{}: ABOR", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A rule about a name that does not exist would be kept by everybody.
    let bound = fs::read_to_string(root().join("globus-sys/bindings/pregenerated.rs")).unwrap();
    let known = NEVER.iter().filter(|name| bound.contains(&format!("fn {name}("))).count();
    assert!(known >= 14, "{known} of the names are bound at all");
}
