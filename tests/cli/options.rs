//! Every option of `globus-url-copy` does what was decided about it: it is taken with its meaning, taken with a warning, or
//! refused with a sentence.

use std::ffi::OsString;

use crate::args::{self, Request, Settings};

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It has its meaning: something is different because of it.
    Means,
    /// It is taken, and says what is so anyway.
    Anyway,
    /// It prints something instead of copying.
    Shows,
    Warns,
    Refused,
}

use Mark::{Anyway, Means, Refused, Shows, Warns};

/// The options of version 10.12 with all their names, by its source, with a value for those that have one.
const ALL: &[(&[&str], Option<&str>, Mark)] = &[
    (&["help", "usage"], None, Shows),
    (&["version"], None, Shows),
    (&["versions"], None, Shows),
    (&["c", "continue-on-error"], None, Anyway),
    (&["a", "ascii"], None, Means),
    (&["b", "binary"], None, Anyway),
    (&["f", "filename"], Some("list"), Means),
    (&["cd", "create-dest"], None, Means),
    (&["r", "recurse"], None, Means),
    (&["fast", "fast-data-channels"], None, Means),
    (&["t", "transfer-time"], Some("10"), Means),
    (&["q", "quiet"], None, Means),
    (&["v", "verbose"], None, Means),
    (&["vb", "verbose-perf"], None, Means),
    (&["dbg", "debugftp"], None, Means),
    (&["rst", "restart"], None, Anyway),
    (&["rst-retries", "restart-retries"], Some("7"), Means),
    (&["rst-interval", "restart-interval"], Some("3"), Means),
    (&["rst-timeout", "restart-timeout"], Some("60"), Means),
    (&["st", "stall-timeout"], Some("5"), Means),
    (&["df", "dumpfile"], Some("dump"), Means),
    (&["do", "dump-only"], Some("dump"), Means),
    (&["rp", "relative-paths"], None, Means),
    (&["s", "subject"], Some("/CN=x"), Means),
    (&["ss", "source-subject"], Some("/CN=x"), Means),
    (&["ds", "dest-subject"], Some("/CN=x"), Means),
    (&["tcp-bs", "tcp-buffer-size"], Some("1M"), Means),
    (&["bs", "block-size"], Some("64K"), Means),
    (&["p", "parallel"], Some("4"), Means),
    (&["notpt", "no-third-party-transfers"], None, Means),
    (&["nodcau", "no-data-channel-authentication"], None, Means),
    (&["dcsafe", "data-channel-safe"], None, Means),
    (&["dcpriv", "data-channel-private"], None, Means),
    (&["off", "partial-offset"], Some("1K"), Means),
    (&["len", "partial-length"], Some("10"), Means),
    (&["list", "list-url"], Some("ftp://h/"), Means),
    (&["stripe", "striped"], None, Means),
    (&["sbs", "striped-block-size"], Some("0"), Means),
    (&["ipv6", "IPv6"], None, Anyway),
    (&["udt", "u"], None, Means),
    (&["g2", "gridftp2"], None, Anyway),
    (&["no-g2", "nogridftp2"], None, Anyway),
    (&["dp", "delayed-pasv"], None, Means),
    (&["mn", "module-name"], Some("m"), Means),
    (&["mp", "module-parameters"], Some("x=1"), Means),
    (&["smn", "src-module-name"], Some("m"), Means),
    (&["smp", "src-module-parameters"], Some("x=1"), Means),
    (&["dmn", "dst-module-name"], Some("m"), Means),
    (&["dmp", "dst-module-parameters"], Some("x=1"), Means),
    (&["aa", "authz-assert"], Some("/dev/null"), Means),
    (&["saa", "src-authz-assert"], Some("/dev/null"), Means),
    (&["daa", "dst-authz-assert"], Some("/dev/null"), Means),
    (&["cache-aa", "cache-authz-assert"], None, Anyway),
    (&["cache-saa", "cache-src-authz-assert"], None, Anyway),
    (&["cache-daa", "cache-dst-authz-assert"], None, Anyway),
    (&["pp", "pipeline"], None, Anyway),
    (&["ppq", "pipelineq"], Some("10"), Anyway),
    (&["cc", "concurrency"], Some("3"), Means),
    (&["nlb", "nl-bottleneck"], None, Warns),
    (&["nli", "nl-interval"], Some("5"), Warns),
    (&["SP", "src-pipe"], Some("/bin/cat x"), Means),
    (&["DP", "dst-pipe"], Some("/bin/cat x"), Means),
    (&["P", "pipe"], Some("/bin/cat x"), Means),
    (&["dcstack", "data-channel-stack"], Some("tcp,gsi"), Means),
    (&["src-dcstack", "source-data-channel-stack"], Some("tcp"), Means),
    (&["dst-dcstack", "dest-data-channel-stack"], Some("tcp"), Means),
    (&["fsstack", "file-system-stack"], Some("file"), Means),
    (&["src-fsstack", "source-file-system-stack"], Some("file"), Means),
    (&["dst-fsstack", "dest-file-system-stack"], Some("file"), Means),
    (&["cred"], Some("proxy"), Means),
    (&["sc", "src-cred"], Some("proxy"), Means),
    (&["dc", "dst-cred"], Some("proxy"), Means),
    (&["data-cred"], Some("proxy"), Means),
    (&["af", "alias-file"], Some("hosts"), Means),
    (&["sync"], None, Means),
    (&["sync-level"], Some("3"), Means),
    (&["checksum-alg", "algo"], Some("SHA1"), Means),
    (&["verify-checksum", "checksum"], None, Means),
    (&["allo", "allocate"], None, Anyway),
    (&["no-allo", "no-allocate"], None, Means),
    (&["cp", "copy-perms"], None, Means),
    (&["preserve"], None, Means),
    (&["X", "extentions"], Some("crft"), Refused),
    (&["CP", "plugin"], Some("x"), Refused),
    (&["MC", "multicast"], Some("f"), Refused),
];

fn request(words: &[&str]) -> Result<(Request, Vec<String>), String> {
    let words = ["gridftp-cp"].iter().chain(words).map(OsString::from);
    args::request(words).map_err(|failure| failure.line().unwrap())
}

fn settings(words: &[&str]) -> (Box<Settings>, Vec<String>) {
    match request(words) {
        Ok((Request::Copy(settings), warnings)) => (settings, warnings),
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn every_option_of_globus_url_copy_is_dealt_with_as_decided() {
    let plain = format!("{:?}", settings(&["a", "b"]).0);
    let (mut options, mut names) = (0, 0);
    for (aliases, value, mark) in ALL {
        options += 1;
        // Some say something only together with another one.
        let with: &[&str] = match aliases[0] {
            "mp" => &["-mn", "m"],
            "smp" => &["-smn", "m"],
            "dmp" => &["-dmn", "m"],
            "checksum-alg" => &["-verify-checksum"],
            _ => &[],
        };
        let base = if with.is_empty() {
            plain.clone()
        } else {
            format!("{:?}", settings(&[with, &["a", "b"]].concat()).0)
        };
        let places: &[&str] = if aliases[0] == "f" { &[] } else { &["a", "b"] };
        for name in *aliases {
            names += 1;
            let row = args::table::find(name).unwrap_or_else(|| panic!("-{name} is not in the table"));
            assert!(row.names.contains(&aliases[0]), "-{name} belongs to -{}", aliases[0]);
            for dashes in ["-", "--"] {
                let word = format!("{dashes}{name}");
                // With two dashes the names of one letter are nobody's, and `--preserve` and the like are ours.
                if dashes == "--" && name.len() == 1 {
                    continue;
                }
                let option: Vec<&str> = [word.as_str()].into_iter().chain(*value).collect();
                let words = [with, &option, places].concat();
                match mark {
                    Means | Anyway => {
                        let (settings, warnings) = settings(&words);
                        assert_eq!(warnings, [""; 0], "{words:?}");
                        let changed = format!("{settings:?}") != base;
                        assert_eq!(changed, *mark == Means, "{words:?}");
                    }
                    Shows => assert!(matches!(request(&words), Ok((Request::Show(_), _))), "{words:?}"),
                    Warns => {
                        let (_, warnings) = settings(&words);
                        assert!(warnings.len() == 1 && warnings[0].contains(&format!("-{name} is not done")));
                    }
                    Refused => {
                        let line = request(&words).unwrap_err();
                        assert!(
                            line.contains(&format!("-{name} of globus-url-copy is not to be had: ")),
                            "{line}"
                        );
                    }
                }
                if value.is_some() {
                    let line = request(&[places, &[word.as_str()]].concat()).unwrap_err();
                    assert!(line.contains("value"), "{line}");
                }
            }
        }
    }
    assert_eq!(options, args::table::GLOBUS_URL_COPY.len(), "the table has others");
    println!("{options} options with {names} names: all as decided");
}

#[test]
fn options_stand_anywhere_and_the_order_of_filters_counts() {
    let one = format!("{:?}", settings(&["-p", "4", "-vb", "a", "b"]).0);
    assert_eq!(one, format!("{:?}", settings(&["a", "-vb", "b", "-p", "4"]).0));
    let (settings, _) = settings(&["-r", "--exclude", "*.tmp", "--include", "keep.tmp", "a", "b"]);
    assert!(!settings.filter.takes(b"keep.tmp", false));
    let words = ["-r", "--include", "keep.tmp", "--exclude", "*.tmp", "a", "b"].iter();
    let Ok((Request::Copy(settings), _)) = args::request(["x"].iter().chain(words).map(OsString::from))
    else {
        panic!()
    };
    assert!(settings.filter.takes(b"keep.tmp", false) && !settings.filter.takes(b"other.tmp", false));
}
