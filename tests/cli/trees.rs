//! Trees, patterns and lists: what is copied, what is told of it, and how it ends.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gridftp_lab::{Server, random_bytes};
use serde_json::Value;

use crate::support::{
    Outcome, SIGNALS, bytes, command, command_by, contents, copy, copy_from_stdin, folder, names, piped,
    signal, sparse, text, wait_for_part,
};

/// A few files in folders.
fn grow(root: &Path) {
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::create_dir(root.join("void")).unwrap();
    for (name, size) in [
        ("one", 10),
        ("two.tmp", 20_000),
        ("sub/three", 0),
        ("sub/deep/four", 3_000_000),
        ("sub/five six", 7),
    ] {
        fs::write(root.join(name), random_bytes(size, usize::try_from(size).unwrap())).unwrap();
    }
}

#[track_caller]
fn same(one: &Path, other: &Path) {
    assert_eq!(contents(one), contents(other));
}

#[test]
fn trees_go_every_way() {
    let server = Server::anonymous().start();
    let local = folder();
    let here = local.path().join("here");
    grow(&here);
    copy(&["-r", &format!("{}/", text(&here)), &server.url("there")]).succeeded();
    same(&here, &server.dir().join("there"));
    // Without a slash at the end of both, one becomes the other; with one at the destination's, it goes into it.
    copy(&["-r", &server.url("there"), text(&local.path().join("back"))]).succeeded();
    same(&here, &local.path().join("back"));
    fs::create_dir(server.dir().join("into")).unwrap();
    copy(&["-r", text(&here), &server.url("into/")]).succeeded();
    same(&here, &server.dir().join("into/here"));
    copy(&["-r", &server.url("there/"), &server.url("third")]).succeeded();
    same(&here, &server.dir().join("third"));
    copy(&["-r", "--through-client", &server.url("there/"), &server.url("fourth")]).succeeded();
    same(&here, &server.dir().join("fourth"));
    copy(&["-r", &format!("{}/", text(&here)), text(&local.path().join("fifth"))]).succeeded();
    same(&here, &local.path().join("fifth"));
    // A folder without -r is told so.
    copy(&[&server.url("there"), text(&local.path().join("x"))]).failed(12, &["folder", "(source"]);
}

#[test]
fn what_is_wanted_and_nothing_else() {
    let server = Server::anonymous().start();
    let local = folder();
    let (here, there) = (local.path().join("here"), server.dir().join("there"));
    grow(&here);
    let from = format!("{}/", text(&here));
    let to = server.url("there");
    // Nothing is changed by a dry run, which tells what would be.
    let dry = copy(&["-r", "-n", &from, &to]);
    assert!(dry.code == 0 && dry.stderr.contains("to copy") && !there.exists(), "{}", dry.stderr);
    copy(&["-r", "--exclude", "*.tmp", "--preserve", &from, &to]).succeeded();
    assert_eq!(names(&there), ["one", "sub", "void"]);
    assert_eq!(
        fs::metadata(there.join("one")).unwrap().mtime(),
        fs::metadata(here.join("one")).unwrap().mtime()
    );
    // The same again copies nothing; what is new, longer or extra is seen.
    let again = copy(&["-r", "-v", "--sync", &from, &to]);
    assert!(again.stderr.contains("  copied              1"), "{}", again.stderr);
    fs::write(here.join("one"), "longer than it was").unwrap();
    fs::write(there.join("extra"), "x").unwrap();
    copy(&["-r", "--sync=size", "--delete", &from, &to]).succeeded();
    same(&here, &there);
    fs::write(here.join("one"), "as long as it is..").unwrap();
    copy(&["-r", "--sync=size", &from, &to]).succeeded();
    assert_eq!(fs::read(there.join("one")).unwrap(), b"longer than it was");
    copy(&["-r", "--sync=checksum", &from, &to]).succeeded();
    assert_eq!(fs::read(there.join("one")).unwrap(), b"as long as it is..");
    copy(&["--overwrite", "never", text(&here.join("two.tmp")), &server.url("there/one")]).succeeded();
    assert_eq!(fs::read(there.join("one")).unwrap(), b"as long as it is..");
    fs::set_permissions(here.join("one"), fs::Permissions::from_mode(0o640)).unwrap();
    copy(&["-r", "--verify", "SHA256", "--preserve=mode", &from, &to]).succeeded();
    assert_eq!(fs::metadata(there.join("one")).unwrap().permissions().mode() & 0o777, 0o640);
    same(&here, &there);
}

#[test]
fn patterns_lists_and_several_sources() {
    let server = Server::anonymous().start();
    let local = folder();
    let out = local.path().join("out");
    let clear = || {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
    };
    for name in ["a1", "a2", "b[1]", "c*"] {
        fs::write(server.dir().join(name), name).unwrap();
    }
    fs::create_dir(server.dir().join("a-folder")).unwrap();
    fs::write(server.dir().join("a-folder/in it"), "x").unwrap();
    let into = format!("{}/", text(&out));
    clear();
    copy(&[&format!("{}/a*", server.url("")), &into]).succeeded();
    assert_eq!(names(&out), ["a1", "a2"]);
    clear();
    copy(&["-r", &format!("{}/a*", server.url("")), &into]).succeeded();
    assert_eq!(names(&out), ["a-folder", "a1", "a2"]);
    clear();
    // An escaped character is itself; so are all with --no-glob.
    copy(&[&format!("{}/b%5B1%5D", server.url("")), &into]).succeeded();
    copy(&["--no-glob", &format!("{}/c*", server.url("")), &into]).succeeded();
    assert_eq!(names(&out), ["b[1]", "c*"]);
    copy(&[&format!("{}/z*", server.url("")), &into]).failed(3, &["matches", "(source"]);
    clear();
    copy(&[&server.url("a1"), &server.url("a2"), text(&out)]).succeeded();
    assert_eq!(names(&out), ["a1", "a2"]);
    clear();
    copy(&["-r", &server.url("a1"), &server.url("a-folder"), text(&out)]).succeeded();
    assert_eq!(names(&out), ["a-folder", "a1"]);
    clear();
    // Lists: of pairs as JSON and with NUL behind, of paths.
    let list = format!(
        "{{\"source\": \"{}\", \"destination\": \"{}/x y\"}}\n{{\"source\": \"{}\", \"destination\": \"{}/part\", \"offset\": 1}}\n",
        server.url("a1"),
        text(&out),
        server.url("a2"),
        text(&out)
    );
    copy_from_stdin(&["-f", "-"], list.as_bytes()).succeeded();
    assert_eq!(fs::read(out.join("x y")).unwrap(), b"a1");
    assert_eq!(fs::read(out.join("part")).unwrap(), b"\x002");
    let list = format!("{}\0{}/odd\nname\0", server.url("a1"), text(&out));
    copy_from_stdin(&["-0", "-f", "-"], list.as_bytes()).succeeded();
    assert_eq!(fs::read(out.join("odd\nname")).unwrap(), b"a1");
    clear();
    copy_from_stdin(&["--files-from", "-", &server.url(""), text(&out)], b"a1\na-folder/in it\n").succeeded();
    assert_eq!(contents(&out).len(), 3);
    let missing = copy_from_stdin(&["--files-from", "-", &server.url(""), text(&out)], b"a1\nnone\n");
    assert_eq!(missing.code, 14, "{}", missing.stderr);
    copy_from_stdin(&["--optional", "--files-from", "-", &server.url(""), text(&out)], b"a1\nnone\n")
        .succeeded();
    // Many pairs of one folder are one task, and a name that is twice in the list is copied once.
    clear();
    let lines: String = (0..300).map(|n| format!("{} {}/n{n}\n", server.url("a1"), text(&out))).collect();
    copy_from_stdin(&["-f", "-"], lines.as_bytes()).succeeded();
    assert_eq!(names(&out).len(), 300);
}

#[test]
fn events_tell_everything_as_json() {
    let server = Server::anonymous().start();
    let local = folder();
    let here = local.path().join("here");
    grow(&here);
    fs::write(here.join("quote\" and \u{1}"), "x").unwrap();
    fs::write(here.join(bytes(b"\xff")), "x").unwrap();
    let out = local.path().join("out");
    let outcome = copy(&["-r", "--json", &format!("{}/", text(&here)), text(&out)]).succeeded();
    let events: Vec<Value> = String::from_utf8(outcome.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    assert!(events.iter().all(|event| event["v"] == 1 && event["time"].as_f64().unwrap() > 1e9));
    assert_eq!(events[0]["event"], "start");
    let entries: BTreeMap<&str, &Value> = events
        .iter()
        .filter(|event| event["event"] == "entry")
        .map(|event| (event["path"].as_str().unwrap(), event))
        .collect();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries["sub/deep/four"]["bytes"], 3_000_000);
    assert_eq!(entries["void"]["kind"], "folder");
    assert_eq!(entries["quote\" and \u{1}"]["outcome"], "copied");
    assert_eq!(entries["\u{fffd}"]["path_hex"], "ff");
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["files"], &end["exit_code"]), (&"end".into(), &7.into(), &0.into()));
    assert_eq!(end["bytes"], 3_020_019);
    // And failures.
    let outcome = copy(&["--json", &server.url("missing"), text(&out.join("x"))]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (3, ""));
    let last: Value =
        serde_json::from_slice(outcome.stdout.split(|byte| *byte == b'\n').nth_back(1).unwrap()).unwrap();
    assert_eq!((&last["class"], &last["error"]["side"]), (&"not-found".into(), &"source".into()));
    assert_eq!(last["error"]["transient"], false);
    // What is copied to standard output is not mixed with it.
    fs::write(server.dir().join("f"), "data").unwrap();
    let outcome = copy(&["--json", &server.url("f"), "-"]);
    assert_eq!((outcome.code, outcome.stdout.as_slice()), (0, &b"data"[..]));
    assert!(outcome.stderr.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn failures_are_told_by_cause_and_can_be_done_again() {
    let server = Server::anonymous().start();
    let local = folder();
    let (from, out) = (server.dir().join("from"), local.path().join("out"));
    grow(&from);
    // In the way of two files: what has their names is a folder with something in it.
    for name in ["one", "sub/three"] {
        fs::create_dir_all(out.join(name).join("x")).unwrap();
    }
    let dump = local.path().join("dump");
    let args = ["-r", "-df", text(&dump), &server.url("from/"), text(&out)];
    let outcome = copy(&args);
    assert_eq!(outcome.code, 14, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("gridftp-cp: 2 of 8 failed\n"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("2 × in the way at the destination (exit code 12)"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("      one\n") && outcome.stderr.contains("      sub/three\n"));
    assert!(!outcome.stderr.contains('\x1b'), "no colours where nobody asked for them");
    let left = fs::read_to_string(&dump).unwrap();
    assert_eq!(left.lines().count(), 2, "{left}");
    assert!(left.contains("/from/one\" \"file://") && left.contains("/out/sub/three\""), "{left}");
    // The same command copies what is left, now that nothing is in the way.
    for name in ["one", "sub/three"] {
        fs::remove_dir_all(out.join(name)).unwrap();
    }
    let outcome = copy(&["-v", "-df", text(&dump), &server.url("from/"), text(&out)]);
    assert!(outcome.code == 0 && outcome.stderr.contains("  copied              2"), "{}", outcome.stderr);
    same(&from, &out);
    assert_eq!(fs::read(&dump).unwrap(), b"");
    copy(&["-df", text(&dump)]).succeeded();
    // And what would be copied can be listed for later.
    let list = local.path().join("list");
    copy(&["-q", "-do", text(&list), "-r", &server.url("from/"), text(&local.path().join("new"))])
        .succeeded();
    assert!(!local.path().join("new").exists());
    copy(&["-cd", "-f", text(&list)]).succeeded();
    assert_eq!(
        fs::read(local.path().join("new/sub/five six")).unwrap(),
        fs::read(from.join("sub/five six")).unwrap()
    );
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 5);
}

#[test]
fn colours_come_where_they_are_wanted() {
    let local = folder();
    fs::create_dir_all(local.path().join("from/x")).unwrap();
    fs::write(local.path().join("from/a"), "x").unwrap();
    fs::create_dir_all(local.path().join("to/a/x")).unwrap();
    let args = ["-r", "from/", "to"];
    for (color, wanted) in [("auto", false), ("always", true), ("never", false)] {
        let mut command = command(&[&args[..], &["--color", color]].concat());
        let outcome = Outcome::of(command.current_dir(local.path()).output().unwrap());
        assert_eq!(outcome.stderr.contains("\x1b[31m"), wanted, "{color}: {}", outcome.stderr);
    }
}

#[test]
fn an_interrupt_ends_a_tree_within_two_seconds() {
    let server = Server::anonymous().start();
    fs::create_dir(server.dir().join("from")).unwrap();
    for name in ["one", "two", "three"] {
        sparse(&server.dir().join("from").join(name), 4 << 30);
    }
    for (flags, way) in [(&[][..], "down"), (&["--resume"][..], "down"), (&[][..], "up")] {
        let local = folder();
        let (from, to, watched) = if way == "down" {
            (server.url("from/"), text(&local.path().join("to")).to_owned(), local.path().join("to"))
        } else {
            (format!("{}/", text(&server.dir().join("from"))), server.url("up"), server.dir().join("up"))
        };
        fs::create_dir_all(&watched).unwrap();
        let args = [flags, &["-r", "--bwlimit", "50M", &from, &to]].concat();
        let mut starting = command_by(SIGNALS, &args);
        starting.env("XDG_STATE_HOME", local.path().join("state"));
        let child = piped(&mut starting).spawn().unwrap();
        wait_for_part(&watched, 1 << 20);
        let begun = Instant::now();
        signal(&child, "INT");
        let outcome = Outcome::of(child.wait_with_output().unwrap());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(outcome.code, 130, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("ended by SIGINT; not all of it was done"), "{}", outcome.stderr);
        assert_eq!(names(&watched).is_empty(), flags.is_empty(), "{way} {flags:?} {:?}", names(&watched));
    }
}

#[test]
fn the_same_command_goes_on_where_it_was_ended() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::create_dir(server.dir().join("from")).unwrap();
    for n in 0..40_u64 {
        fs::write(server.dir().join(format!("from/f{n}")), random_bytes(n, 500_000)).unwrap();
    }
    gridftp_lab::write_random(&server.dir().join("from/large"), 1, 40_000_000).unwrap();
    let to = local.path().join("to");
    let run = |limit: &str| {
        let mut starting = command_by(
            SIGNALS,
            &["-r", "--resume", "--json", "--bwlimit", limit, &server.url("from/"), text(&to)],
        );
        starting.env("XDG_STATE_HOME", local.path().join("state"));
        piped(&mut starting).spawn().unwrap()
    };
    let child = run("10M");
    crate::support::wait_for("some files", || (to.exists() && names(&to).len() > 10).then_some(()));
    signal(&child, "TERM");
    assert_eq!(Outcome::of(child.wait_with_output().unwrap()).code, 143);
    let journals = || names(&local.path().join("state/gridftp-cp"));
    assert_eq!(journals().len(), 1);
    let outcome = Outcome::of(run("1G").wait_with_output().unwrap());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    same(&server.dir().join("from"), &to);
    let last = String::from_utf8(outcome.stdout).unwrap().lines().last().unwrap().to_owned();
    let end: Value = serde_json::from_str(&last).unwrap();
    assert!(end["skipped"].as_u64().unwrap() >= 10, "{end}");
    assert!(end["bytes_moved"].as_u64().unwrap() < 58_000_000, "{end}");
    // It is complete: nothing needs to be remembered.
    assert_eq!(journals(), [""; 0]);
}

#[test]
fn a_limit_for_bytes_is_held_and_one_for_time_too() {
    let server = Server::anonymous().start();
    let local = folder();
    gridftp_lab::write_random(&server.dir().join("f"), 1, 3 << 20).unwrap();
    let begun = Instant::now();
    copy(&["--bwlimit", "1M", &server.url("f"), text(&local.path().join("f"))]).succeeded();
    assert!(begun.elapsed() > Duration::from_millis(2500), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let outcome = copy(&["-t", "0.5", "--bwlimit", "100K", &server.url("f"), text(&local.path().join("g"))]);
    outcome.failed(7, &["ended by the time limit"]);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(names(local.path()), ["f"]);
    // What does not come here cannot be slowed down here.
    copy(&["--bwlimit", "1M", &server.url("f"), &server.url("g")]).failed(2, &["through_client"]);
    let mut child = piped(&mut command(&["--bwlimit", "1M", "-", &server.url("h")]))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &vec![7; 2 << 20])));
    let begun = Instant::now();
    assert!(child.wait().unwrap().success());
    assert!(begun.elapsed() > Duration::from_millis(1200), "{:?}", begun.elapsed());
}
