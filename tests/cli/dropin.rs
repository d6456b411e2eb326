//! A script that calls `globus-url-copy` works when the name is changed: the same command lines, run once with each program
//! against the same server, leave the same files and the same or a better exit status. Where something is different it is
//! said here why, and a difference that is gone is an error as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gridftp_lab::{RefusedPort, Server, packages, random_bytes};

use crate::support::{contents, folder, program, text};

/// Command lines, and what is different on purpose. `S` is a folder of the server with files, `L` a local one with the same;
/// `UP` and `OUT` are where copies go; `FILES` a list of three copies, `HOLE` one of which the second source is missing. `;`
/// stands between two commands. What begins with `INPUT` gets a file on its standard input.
const CASES: &[(&str, &str)] = &[
    // IceProd, iceprod/core/gridftp.py: get, put, and the get that a checksum is computed by; what icetray's stager does, and
    // the calls with -rst of its plug-ins.
    ("S/a file:OUT/x", ""),
    ("-cd file:L/a UP/new/deep/x", ""),
    ("S/large file:OUT/dest", ""),
    ("-cd file:L/missing UP/x", ""),
    ("S/missing file:OUT/x", "no empty file is left under the name of what could not be had"),
    ("-nodcau file://L/a UP/x", ""),
    ("-rst S/a file:OUT/x", ""),
    ("-cd -rst file:L/large UP/d/x", ""),
    // One file, in all directions.
    ("S/a file://OUT/x", ""),
    ("file://L/a UP/x", ""),
    ("S/a UP/x", ""),
    ("file://L/a file://OUT/x", ""),
    ("S/empty file://OUT/x", ""),
    ("S/a%20b file://OUT/x%20y", ""),
    ("S/a file://OUT/", ""),
    ("file://L/a UP/", ""),
    ("-b S/a file://OUT/x", ""),
    ("-a S/text file://OUT/x", ""),
    ("-a file://L/text UP/x", ""),
    ("INPUT - UP/x", ""),
    ("S/large -", ""),
    // Speed.
    ("-vb S/large file://OUT/x", ""),
    ("-fast -p 4 S/large file://OUT/x", ""),
    ("-p 4 file://L/large UP/x", ""),
    ("-p 2 S/large UP/x", ""),
    ("-tcp-bs 1048576 -bs 65536 S/large file://OUT/x", ""),
    ("-fast -cc 2 -cd -r S/tree/ file://OUT/t/", ""),
    ("-pp -cd -r S/tree/ UP/t/", ""),
    ("-pp -ppq 4 -cc 2 -fast -cd -r S/tree/ UP/t/", ""),
    ("-g2 S/a file://OUT/x", ""),
    ("-no-g2 S/a file://OUT/x", ""),
    ("-dp S/a file://OUT/x", ""),
    ("-notpt S/large UP/x", ""),
    ("-ipv6 S/a file://OUT/x", ""),
    // Parts.
    ("-off 2 -len 3 S/a file://OUT/x", ""),
    ("-len 5 S/a file://OUT/x", ""),
    ("-off 3 S/a file://OUT/x", ""),
    ("-off 1K -len 100 S/large UP/x", ""),
    ("-off 2 -len 3 file://L/a UP/x", ""),
    // Trees, patterns, lists.
    ("-cd -r S/tree/ file://OUT/t/", ""),
    ("-cd -r file://L/tree/ UP/t/", ""),
    ("-cd -r S/tree/ UP/t/", ""),
    ("-r S/tree/ file://OUT/", ""),
    ("S/*.txt file://OUT/", ""),
    ("S/file[12].txt UP/", ""),
    ("file://L/*.txt UP/", ""),
    ("S/tree/* file://OUT/", ""),
    ("-f FILES", ""),
    ("-cc 3 -f FILES", ""),
    ("-c -f HOLE", "no empty file is left for the source that is missing"),
    ("-f HOLE", "one failure does not keep the others from being copied, with or without -c"),
    ("-r S/tree file://OUT/", "a folder without a slash at its end is copied too, as OUT/tree"),
    // Again.
    ("-cd -r S/tree/ file://OUT/t/ ; -sync -cd -r S/tree/ file://OUT/t/", ""),
    ("-sync -sync-level 3 S/a file://OUT/x", ""),
    ("file://L/b UP/x ; -sync -sync-level 0 file://L/a UP/x", ""),
    ("file://L/b file://OUT/x ; -sync -sync-level 1 S/a file://OUT/x", ""),
    ("S/b file://OUT/x ; S/a file://OUT/x", ""),
    // Being sure.
    ("-verify-checksum S/a UP/x", ""),
    ("-checksum-alg MD5 -verify-checksum S/large file://OUT/x", ""),
    ("-rst -rst-retries 2 -rst-interval 1 -rst-timeout 20 S/large file://OUT/x", ""),
    ("-st 30 -t 60 S/large file://OUT/x", ""),
    ("-allo file://L/a UP/x", ""),
    ("-no-allo file://L/a UP/x", ""),
    ("-q S/a file://OUT/x", ""),
    ("-v S/a file://OUT/x", ""),
    ("-dbg S/a file://OUT/x", ""),
    ("-df OUT/dump S/a file://OUT/x", ""),
    (
        "-c -df OUT/dump S/missing file://OUT/x",
        "what failed is in the dump file: a second run tries it again",
    ),
    (
        "-df OUT/dump S/a file://OUT/x ; -df OUT/dump S/a file://OUT/x",
        "nothing left to do is success, not exit code 2",
    ),
    ("-af HOSTS ftp://any/PATH/a file://OUT/x", ""),
    ("-rp ROOT/a file://OUT/x", ""),
    ("-list S/tree/", ""),
    // Failures.
    ("S/a file://OUT/none/x", ""),
    ("file://L/a UP/none/x", ""),
    (
        "-cd S/missing file://OUT/d/x",
        "the folder of a copy that failed is made before the source is known to be missing, or not",
    ),
    ("-r S/missing/ file://OUT/", ""),
    ("REFUSED/a file://OUT/x", "no empty file is left"),
    ("ftp://no-such-host.invalid/a file://OUT/x", ""),
    ("-p x S/a file://OUT/x", ""),
    ("-no-such-option S/a file://OUT/x", ""),
    ("S/a", ""),
    ("wrong://h/a file://OUT/x", ""),
    (
        "-dcpriv S/a file://OUT/x",
        "refused: over ftp:// nothing is encrypted, and globus-url-copy sends it in clear text",
    ),
];

/// What a command line has left behind.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    success: bool,
    code: i32,
    out: BTreeMap<PathBuf, String>,
    up: BTreeMap<PathBuf, String>,
    stdout: Vec<u8>,
}

#[test]
fn the_name_is_all_that_changes() {
    let url_copy = packages::URL_COPY.program().unwrap_or_else(|error| panic!("{error}"));
    let server = Server::anonymous().start();
    let refused = RefusedPort::new();
    let local = folder();
    let (source, files) = (server.dir().join("source"), local.path().join("files"));
    for root in [&source, &files] {
        fs::create_dir_all(root.join("tree/deep/er")).unwrap();
        for (name, contents) in [
            ("a", b"some contents".to_vec()),
            ("b", b"other, longer contents".to_vec()),
            ("empty", Vec::new()),
            ("a b", b"a blank".to_vec()),
            ("text", b"one\ntwo\n\nthree\n".to_vec()),
            ("large", random_bytes(1, 3_000_001)),
            ("file1.txt", b"1".to_vec()),
            ("file2.txt", b"2".to_vec()),
            ("file3.dat", b"3".to_vec()),
            ("tree/x", b"x".to_vec()),
            ("tree/deep/y", random_bytes(2, 100_000)),
            ("tree/deep/er/z", b"z".to_vec()),
        ] {
            fs::write(root.join(name), contents).unwrap();
        }
    }
    let (mut same, mut better, mut different, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for (line, reason) in CASES {
        let mut both = [url_copy.clone(), program()].map(|program| {
            run(&program, line, &server, &local.path().join("work"), (&source, &files), refused.port())
        });
        // Its listing has a blank behind each name and a line at the end; its rates are not ours.
        if line.contains("-list") {
            for left in &mut both {
                let text = String::from_utf8(left.stdout.clone()).unwrap();
                let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                left.stdout = lines.join("\n").into_bytes();
            }
        } else if !line.ends_with(" -") {
            both.iter_mut().for_each(|left| left.stdout.clear());
        }
        let [theirs, ours] = both;
        let files = (&theirs.out, &theirs.up, &theirs.stdout) == (&ours.out, &ours.up, &ours.stdout);
        let status = theirs.success == ours.success;
        if files && status {
            if !reason.is_empty() {
                wrong.push(format!("{line}: this is not different any more: {reason}"));
            }
            same += 1;
            // One code for everything, and one for each class.
            better += usize::from(!ours.success && theirs.code != ours.code);
        } else {
            if reason.is_empty() {
                wrong.push(format!("{line}:\nglobus-url-copy {theirs:?}\ngridftp-cp {ours:?}"));
            }
            if theirs.success && !ours.success && !reason.starts_with("refused: ") {
                wrong.push(format!("{line}: a worse exit status, {}", ours.code));
            }
            different.push((line, reason));
        }
    }
    println!(
        "{} command lines: {same} with the same files and status ({better} with a better exit code)",
        CASES.len()
    );
    for (line, reason) in different {
        println!("different: {line}: {reason}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(
    program: &Path,
    line: &str,
    server: &Server,
    work: &Path,
    (source, files): (&Path, &Path),
    refused: u16,
) -> Left {
    let (out, up) = (work.join("out"), server.dir().join("up"));
    for folder in [&out, &up] {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
    }
    let url = |path: &Path| server.url(path);
    let of = |name: &str| url(&source.join(name));
    let list = work.join("list");
    let lines = |second: &str| {
        format!(
            "# a list\n{} file://{}\n\n\"{}\" \"file://{}\"\n{} {}\n",
            of("a"),
            out.join("one").display(),
            of(second),
            out.join("t w o").display(),
            of("b"),
            url(&up.join("three")),
        )
    };
    let hosts = work.join("hosts");
    let authority = server.url_root().split("://").nth(1).unwrap().trim_end_matches('/').to_owned();
    fs::write(&hosts, format!("@source\n{authority}\n")).unwrap();
    let mut left = None;
    for command in line.split(" ; ") {
        let (input, command) = match command.strip_prefix("INPUT ") {
            Some(rest) => (Stdio::from(fs::File::open(source.join("large")).unwrap()), rest),
            None => (Stdio::null(), command),
        };
        let words = command.split(' ').map(|word| {
            let word = match word {
                "FILES" => {
                    fs::write(&list, lines("a b").replace("a b", "a%20b").replace("t w o", "t%20w%20o"))
                        .unwrap();
                    return text(&list).to_owned();
                }
                "HOLE" => {
                    fs::write(&list, lines("missing").replace("t w o", "t%20w%20o")).unwrap();
                    return text(&list).to_owned();
                }
                "HOSTS" => return text(&hosts).to_owned(),
                word => word.to_owned(),
            };
            let word = word
                .replace("REFUSED", &format!("ftp://127.0.0.1:{refused}"))
                .replace("PATH", text(source).trim_start_matches('/'))
                .replace(
                    "ROOT",
                    &format!(
                        "{}/%2F{}",
                        server.url_root().trim_end_matches('/'),
                        text(source).trim_start_matches('/')
                    ),
                )
                .replace("OUT", text(&out))
                .replace("UP", &url(&up));
            let word = if word.starts_with("S/") { word.replacen('S', &url(source), 1) } else { word };
            word.replace(":L/", &format!(":{}/", text(files))).replace("//L/", &format!("//{}/", text(files)))
        });
        let mut command = Command::new(program);
        command.args(words).stdin(input).stderr(Stdio::null());
        for name in ["X509_USER_PROXY", "X509_USER_CERT", "X509_USER_KEY", "X509_CERT_DIR"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        left = Some(Left {
            success: output.status.success(),
            code: output.status.code().unwrap_or(-1),
            out: contents(&out),
            up: contents(&up),
            stdout: output.stdout,
        });
    }
    left.unwrap()
}
