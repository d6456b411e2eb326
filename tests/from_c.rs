//! The table of `gridftp::from_c` is whole and true: against the bindings, the sources and the tests.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../src/from_c.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    gridftp_lab::rust_sources(root(), folder).unwrap()
}

/// The functions of the bindings with this prefix, without it.
fn bound(prefix: &str) -> BTreeSet<String> {
    let bindings = fs::read_to_string(root().join("globus-sys/bindings/pregenerated.rs")).unwrap();
    let start = format!("pub fn {prefix}");
    let names = bindings.split(&start).skip(1);
    names.map(|rest| rest.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()).collect()
}

#[derive(Debug)]
struct Row {
    function: String,
    text: String,
    /// Empty where nothing serves.
    tests: Vec<String>,
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of both tables: the client library's, and the control library's.
fn rows() -> (Vec<Row>, Vec<String>) {
    let (client, control) = TABLE.split_once("\n## Below").unwrap();
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let is_row = |line: &&str| line.starts_with("| `");
    let client = client.lines().filter(is_row).map(|line| {
        let cells = cells(line);
        assert_eq!(cells.len(), 3, "{line}");
        let [function] = &quoted(&cells[0])[..] else { panic!("one function per row: {line}") };
        let tests = if cells[2] == "—" { Vec::new() } else { quoted(&cells[2]) };
        assert_eq!(
            tests.is_empty(),
            cells[1].starts_with("nothing: "),
            "served by tests, or by nothing: {line}"
        );
        Row { function: function.clone(), text: cells[1].clone(), tests }
    });
    let control = control.lines().filter(is_row).flat_map(|line| quoted(&cells(line)[0])).collect();
    (client.collect(), control)
}

#[test]
fn every_function_of_the_bindings_stands_in_the_table_once() {
    let (rows, _) = rows();
    let listed: BTreeSet<_> = rows.iter().map(|row| row.function.clone()).collect();
    assert_eq!(listed.len(), rows.len(), "a function stands there twice");
    let bound = bound("globus_ftp_client_");
    assert!(bound.len() > 150, "{}", bound.len());
    let missing: Vec<_> = bound.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&bound).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing: {missing:?}; not in the bindings: {invented:?}"
    );
    let served = rows.iter().filter(|row| !row.tests.is_empty()).count();
    println!("{} functions, {served} served, {} refused with reasons", rows.len(), rows.len() - served);
}

#[test]
fn a_refusal_has_a_reason() {
    for row in rows().0.iter().filter(|row| row.tests.is_empty()) {
        let reason = row.text.strip_prefix("nothing: ").unwrap();
        assert!(reason.len() > 20, "{}: {reason:?}", row.function);
    }
}

/// Whether something public of this path is in the sources: `Client::get`, `RestartMarker::Stream`, `options::Timeouts`.
fn is_there(sources: &BTreeMap<PathBuf, String>, path: &str) -> bool {
    let exported = &sources[Path::new("src/lib.rs")];
    let word = |text: &str, word: &str| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        text.match_indices(word)
            .any(|(at, _)| !text[..at].ends_with(is_name) && !text[at + word.len()..].starts_with(is_name))
    };
    let mut parts: Vec<_> = path.split("::").collect();
    if let ["options", _, ..] = parts[..] {
        parts.remove(0);
        if !word(&sources[Path::new("src/options/mod.rs")], parts[0]) {
            return false;
        }
    } else if !exported.split("pub use ").skip(1).any(|list| word(list.split(';').next().unwrap(), parts[0]))
    {
        return false;
    }
    let [name, member] = parts[..] else { return parts.len() == 1 };
    sources.values().any(|text| {
        let method = [format!("pub fn {member}"), format!("pub async fn {member}")];
        let method = method.iter().any(|method| word(text, method));
        let own = ["impl", "impl<'a>"].iter().any(|start| word(text, &format!("{start} {name}")));
        // What many builders have in common is written once.
        let shared = text.contains("macro_rules!");
        let variants =
            text.split(&format!("pub enum {name} {{")).nth(1).and_then(|rest| rest.split("\n}").next());
        (method && (own || shared)) || variants.is_some_and(|variants| word(variants, member))
    })
}

#[test]
fn what_serves_exists() {
    let sources = sources("src");
    let (rows, _) = rows();
    let links = TABLE.split("](crate::").skip(1).map(|rest| rest.split(')').next().unwrap());
    let mut gone: Vec<_> = links.filter(|path| !is_there(&sources, path)).collect();
    gone.sort_unstable();
    gone.dedup();
    assert!(gone.is_empty(), "named in the table and not there: {gone:?}");
    for row in rows.iter().filter(|row| !row.tests.is_empty()) {
        assert!(row.text.contains("](crate::") || row.text.contains('`'), "{} names nothing", row.function);
    }
    // The search has teeth.
    for wrong in ["Client::fetch", "NoClient::get", "RestartMarker::Never", "options::Nothing"] {
        assert!(!is_there(&sources, wrong), "{wrong}");
    }
}

/// Whether there is a test `topic::name` in tests/it.
fn is_test(sources: &BTreeMap<PathBuf, String>, test: &str) -> bool {
    let Some((topic, name)) = test.rsplit_once("::") else { return false };
    let file = Path::new("tests/it").join(topic.replace("::", "/"));
    let texts = [file.with_extension("rs"), file.join("mod.rs")];
    texts.iter().filter_map(|path| sources.get(path)).any(|text| {
        text.match_indices(&format!("fn {name}(")).any(|(at, _)| {
            let before = text[..at].lines().rev().skip(usize::from(!text[..at].ends_with('\n')));
            before.take(3).any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        })
    })
}

#[test]
fn what_serves_is_shown_by_a_test() {
    let sources = sources("tests/it");
    for row in rows().0 {
        for test in &row.tests {
            assert!(is_test(&sources, test), "{}: there is no test {test}", row.function);
        }
    }
    assert!(!is_test(&sources, "credentials::no_such_test") && !is_test(&sources, "nowhere::metrics"));
    // A function that is no test does not count.
    assert!(!is_test(&sources, "support::anonymous"));
}

#[test]
fn the_engine_calls_what_the_table_says_and_nothing_else() {
    let bound = bound("globus_ftp_control_");
    let mut called = BTreeSet::new();
    for text in sources("src/engine").values() {
        for rest in text.split("globus_ftp_control_").skip(1) {
            let name: String = rest.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect();
            if bound.contains(&name) {
                called.insert(name);
            }
        }
    }
    let listed: BTreeSet<_> = rows().1.into_iter().collect();
    assert!(called.len() > 10, "{called:?}");
    assert_eq!(called, listed);
    let all: String = sources("src").into_values().collect();
    assert!(!all.contains("sys::globus_ftp_client_"), "the client library is not used");
}

/// What table 1 of the survey of GridFTP libraries says of `globus_ftp_client`: each thing it can do, and the tests that are
/// named after it here.
const FEATURES: &[(&str, &[&str])] = &[
    ("get to memory/stream", &["abort::get_to_memory", "abort::get_to_stream"]),
    ("put from memory/stream", &["abort::put_from_memory", "abort::put_from_stream_of_unknown_length"]),
    ("third-party", &["third_party::third_party"]),
    (
        "partial / extended (ERET/ESTO)",
        &[
            "extended::partial_get_at_the_edges_of_the_file",
            "extended::extended_get",
            "extended::extended_put",
            "third_party::partial_third_party",
        ],
    ),
    ("append", &["append::append"]),
    (
        "resume: restart markers",
        &["restart::resume_a_get_by_restart_markers", "restart::resume_a_put_by_restart_markers"],
    ),
    ("resume third-party", &["third_party::resume_third_party"]),
    (
        "multi-file pipelining",
        &["third_party_many::multi_file_pipelining", "pipeline::a_thousand_files_of_which_ten_are_missing"],
    ),
    ("mkdir/rmdir/delete/move/chmod", &["namespace::mkdir_rmdir_delete_move_chmod"]),
    ("chgrp, utime, symlink", &["namespace::chgrp_utime_symlink"]),
    ("exists, size, mtime", &["namespace::exists_size_mtime"]),
    ("stat / MLST", &["namespace::stat_mlst"]),
    ("list: NLST/LIST/MLSD/MLSR", &["listing::list_nlst_list_mlsd_mlsr"]),
    ("features (FEAT)", &["namespace::features_feat"]),
    ("server checksum CKSM, any algorithm, ranges", &["checksum::server_checksum_cksm_any_algorithm_ranges"]),
    (
        "mode S/E, parallelism, TCP buffer",
        &["attributes::mode_s_e_parallelism_tcp_buffer", "bytes_identity::anonymous_sizes_modes_and_streams"],
    ),
    ("striping, layout", &["striped::striping_layout"]),
    ("connection / data-channel cache", &["observability::connection_and_data_channel_cache"]),
    ("delayed PASV", &["attributes::delayed_pasv"]),
    (
        "XIO net/disk stack, storage module; remote command (popen stack)",
        &["attributes::xio_disk_stack", "attributes::xio_net_stack", "attributes::storage_module"],
    ),
    (
        "ALLO, client info, rfc1738 paths",
        &["attributes::allo_client_info", "observability::client_info", "namespace::rfc1738_paths"],
    ),
    ("IPv6", &["attributes::ipv6"]),
    (
        "GSI; user/password; anonymous",
        &["credentials::gsi_user_password_and_anonymous_logins", "namespace::user_password_anonymous"],
    ),
    ("ssh", &["sshftp::ssh_users_reach_their_files"]),
    (
        "credential per operation/side",
        &["credentials::credential_per_operation", "third_party::credential_per_side"],
    ),
    ("DCAU none/self/subject", &["attributes::dcau_none_self_subject"]),
    (
        "data prot clear/safe/confidential/private; control prot",
        &["attributes::data_prot_clear_safe_private_control_prot"],
    ),
    ("DCSC data credential", &["attributes::dcsc_data_credential"]),
    ("authz assertions", &["attributes::authz_assertions"]),
    ("turn delegation off", &["credentials::turn_delegation_off", "attributes::turn_delegation_off"]),
    ("model", &["futures::model_futures_and_streams"]),
    (
        "cancel",
        &["abort::cancel_of_a_get_leaves_the_session_in_order", "abort::cancel_of_a_put_leaves_what_came"],
    ),
    ("timeouts", &["futures::timeouts"]),
    ("shape", &["futures::shape_of_errors"]),
    ("progress", &["third_party::progress"]),
    ("protocol trace", &["observability::protocol_trace"]),
];

/// The rest of what it can do, and why that is not here.
const NOT_HERE: &[(&str, &str)] = &[
    ("GridFTP v2 GETPUT", "saves what commands sent ahead save, and freezes with some servers"),
    (
        "retry",
        "of whole transfers belongs to what will transfer whole trees; single operations say whether it helps",
    ),
    ("bottleneck analysis", "netlogger's service is gone; spans and figures tell more"),
    ("integration: pkg-config", "this is a crate"),
    ("user plug-ins", "a function around a future does what a plug-in did"),
];

#[test]
fn everything_the_c_library_can_do_has_a_test_named_after_it() {
    let sources = sources("tests/it");
    let gone: Vec<_> = FEATURES
        .iter()
        .flat_map(|(row, tests)| tests.iter().map(move |test| (row, test)))
        .filter(|(_, test)| !is_test(&sources, test))
        .collect();
    assert!(gone.is_empty(), "no such tests: {gone:#?}");
    assert!(NOT_HERE.iter().all(|(_, reason)| reason.len() > 10));
    println!("{} rows with tests, {} with reasons", FEATURES.len(), NOT_HERE.len());
}
