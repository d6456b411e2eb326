//! Each class of failure has its exit code, and one line that tells what happened.

use std::fs;
use std::io::Read as _;
use std::time::Instant;

use gridftp_lab::{RefusedPort, Server};

use crate::fake::{Lie, lying, mute};
use crate::support::{command, command_by, copy, folder, names, program, text};

#[test]
fn wrong_usage_is_2() {
    for (args, word) in [
        (&[][..], "expected SOURCE and DEST"),
        (&["a"], "only one place was given, a: expected SOURCE and DEST"),
        (&["a", "b", "-"], "several sources cannot go to standard output"),
        (&["--no-such", "a", "b"], "--no-such"),
        (&["-p", "257", "a", "b"], "257"),
        (&["-p", "x", "a", "b"], "'x'"),
        (&["-tcp-bs", "2x", "a", "b"], "2x"),
        (&["-tcp-bs", "8G", "a", "b"], "8589934592"),
        (&["-bs", "0", "a", "b"], "expected 1 to 1M"),
        (&["-bs", "2M", "a", "b"], "expected 1 to 1M"),
        (&["-st", "soon", "a", "b"], "soon"),
        (&["-q", "-v", "a", "b"], "cannot be used with"),
        (&["-MC", "f", "a", "b"], "-MC of globus-url-copy is not to be had"),
        (&["--delete", "a", "b"], "--recursive"),
        (&["--sync=never", "a", "b"], "never"),
        (&["--include", "[", "-r", "a", "b"], "the pattern"),
        (&["--shard", "4/4", "a", "b"], "expected I/N"),
        (&["--shard", "a", "b"], "SLURM_ARRAY_TASK_ID"),
        (&["--bwlimit", "10", "a", "b"], "expected 1024 or more"),
        (&["--timeout-stall", "1y", "a", "b"], "\"1y\" is no time"),
        (&["-r", "-off", "1", "a", "b"], "a part"),
        (&["-f", "list", "a", "b"], "cannot be used with"),
        (&["", "b"], "empty"),
        (&["http://h/a", "b"], "http"),
        (&["ftp://h:65536/a", "b"], "65536"),
        (&["ftp:///a", "b"], "host"),
        (&["ftp://h/a%0d%0aDELE%20x", "b"], "path"),
        (&["ftp://h/a%0A", "b"], "path"),
        (&["ftp://h/a%00", "b"], "path"),
        (&["a", "ftp://h/\u{7}"], "path"),
        (&["file://h/a", "b"], "file://h/a"),
        (&["-s", "no-name", "ftp://h/a", "b"], "no-name"),
    ] {
        copy(args).failed(2, &[word]);
    }
}

#[test]
fn a_missing_file_is_3_on_either_side() {
    let server = Server::anonymous().start();
    let local = folder();
    let here = local.path().join("copy");
    copy(&[&server.url("missing"), text(&here)])
        .failed(3, &["missing", "no such file", "(source", "will not help"]);
    copy(&["-fast", &server.url("missing"), text(&here)]).failed(3, &["(source"]);
    copy(&[text(&here), &server.url("copy")]).failed(3, &["copy", "no such file", "(source"]);
    assert_eq!(names(local.path()), [""; 0]);
    assert_eq!(names(&server.dir()), [""; 0]);
}

#[test]
fn no_permission_is_4_on_either_side() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::anonymous().confined().start();
    let local = folder();
    fs::write(server.dir().join("f"), "x").unwrap();
    fs::write(local.path().join("f"), "x").unwrap();
    copy(&[&server.url("/etc/hostname"), text(&local.path().join("copy"))])
        .failed(4, &["(source", "Path not allowed"]);
    copy(&[text(&local.path().join("f")), &server.url("/etc/gridftp-cp-test")]).failed(4, &["(destination"]);

    // Local refusals bind everybody but root: the program runs as somebody else, from where they can get at it.
    let bin = local.path().join("gridftp-cp");
    fs::copy(program(), &bin).unwrap();
    let run = |from: &str, to: &str| {
        let starter: &[&str] = if rustix::process::geteuid().is_root() {
            &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        } else {
            &["env"]
        };
        let mut command = std::process::Command::new(starter[0]);
        command.args(&starter[1..]).arg(&bin).args([from, to]);
        crate::support::Outcome::of(command.output().unwrap())
    };
    let closed = local.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("mine"), "mine").unwrap();
    fs::set_permissions(closed.join("mine"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::write(local.path().join("secret"), "secret").unwrap();
    fs::set_permissions(local.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    run(&server.url("f"), text(&closed.join("new")))
        .failed(4, &["closed", "Permission denied", "(destination"]);
    run(&server.url("f"), &format!("{}/", text(&closed))).failed(4, &["(destination"]);
    run(text(&local.path().join("secret")), &server.url("secret")).failed(4, &["secret", "(source"]);
    // In a folder that is open, a file that is not: it is not replaced behind its protection.
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o777)).unwrap();
    run(&server.url("f"), text(&closed.join("mine"))).failed(4, &["mine", "(destination"]);
    assert_eq!(fs::read(closed.join("mine")).unwrap(), b"mine");
    assert_eq!(names(&closed), ["mine"]);
    assert_eq!(names(&server.dir()), ["f"]);
}

#[test]
fn no_connection_is_6() {
    let refused = RefusedPort::new();
    let url = format!("ftp://127.0.0.1:{}/f", refused.port());
    copy(&["--retries", "0", &url, "/dev/null"])
        .failed(6, &["refused", "(source, connecting, trying again may help)"]);
    copy(&["/dev/null", &url]).failed(6, &["refused", "(destination, connecting"]);
    copy(&["--retries", "0", "ftp://no-such-host.invalid/f", "/dev/null"])
        .failed(6, &["no-such-host.invalid", "looking up the host"]);
}

#[test]
fn a_server_that_says_nothing_is_7() {
    let (_listener, url) = mute();
    let begun = Instant::now();
    copy(&["--retries", "0", "-st", "1", &url, "/dev/null"]).failed(7, &["1s", "trying again may help"]);
    copy(&["-st", "1", "/dev/null", &url]).failed(7, &["(destination"]);
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn a_server_that_lies_about_the_size_is_8() {
    let local = folder();
    let to = local.path().join("copy");
    fs::write(&to, "as it was").unwrap();
    for moved in [400_000, 0, 1_000_001] {
        let url = lying(Lie { announced: 1_000_000, moved, is_file: true, ..Lie::default() });
        copy(&["--retries", "1", "--retry-delay", "10ms", &url, text(&to)])
            .failed(8, &["1000000", "(source"]);
        assert_eq!(fs::read(&to).unwrap(), b"as it was");
        copy(&["--retries", "0", &url, text(&local.path().join("new"))]).failed(8, &[]);
        // What has gone down a pipe cannot be taken back; the exit code tells.
        let out = copy(&[&url, "-"]).failed(8, &[]).stdout;
        assert!(out.len() <= moved && out.iter().all(|&byte| byte == 7), "{} of {moved}", out.len());
    }
    // The other way round: it keeps less than it was sent.
    let url = lying(Lie { announced: 400_000, moved: 0, ..Lie::default() });
    fs::write(local.path().join("large"), vec![1; 1_000_000]).unwrap();
    copy(&["--retries", "0", text(&local.path().join("large")), &url])
        .failed(8, &["1000000", "400000", "(destination"]);
    assert_eq!(names(local.path()), ["copy", "large"]);
}

#[test]
fn a_refusal_at_the_end_counts() {
    let local = folder();
    for (last, code) in [
        ("552 Quota exceeded", 9),
        ("426 Connection closed; transfer aborted", 6),
        ("451 Local error in processing", 11),
        ("550 Permission denied", 4),
    ] {
        let url = lying(Lie { last, is_file: true, ..Lie::default() });
        let outcome = copy(&["--retries", "0", &url, text(&local.path().join("new"))]);
        outcome.failed(code, &[&last[4..], "(source"]);
        assert_eq!(names(local.path()), [""; 0]);
    }
}

#[test]
fn a_full_disk_is_9() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), vec![1; 3_000_000]).unwrap();
    copy(&[server.url("f").as_str(), "/dev/full"])
        .failed(9, &["/dev/full", "No space left", "(destination)"]);
    let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = command(&[server.url("f").as_str(), "-"])
        .stdout(full.try_clone().unwrap())
        .stderr(std::process::Stdio::piped())
        .spawn();
    crate::support::Outcome::of(child.unwrap().wait_with_output().unwrap()).failed(9, &["standard output"]);
    let mut byte = [1];
    full.read_exact(&mut byte).unwrap_err();

    // A file larger than this process may write fails in the same way, on every file system and for every user: at once
    // where room can be set aside, else in the middle.
    let starter = ["sh", "-c", "ulimit -f 1000; exec \"$@\"", "sh"];
    for place in ["/dev/shm", "/tmp"] {
        let local = tempfile::Builder::new().prefix("gridftp-cli-").tempdir_in(place).unwrap();
        fs::write(local.path().join("old"), "as it was").unwrap();
        for to in ["old", "new"] {
            for source in [server.url("f"), text(&server.dir().join("f")).to_owned()] {
                let args = [source, text(&local.path().join(to)).to_owned()];
                let output = command_by(&starter, &args).output().unwrap();
                crate::support::Outcome::of(output).failed(9, &["File too large", "(destination"]);
            }
        }
        assert_eq!(names(local.path()), ["old"]);
        assert_eq!(fs::read(local.path().join("old")).unwrap(), b"as it was");
    }
}
