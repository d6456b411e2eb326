//! `chmod`, `chgrp`, `touch`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use gridftp_lab::Server;

use crate::support::run;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn modes_are_set_or_changed() {
    let server = Server::anonymous().start();
    let file = server.dir().join("f");
    fs::write(&file, "").unwrap();
    let url = server.url("f");
    run(&["chmod", "640", &url]).silent();
    assert_eq!(mode(&file), 0o640);
    run(&["chmod", "u+x,g-r,o=r", &url]).silent();
    assert_eq!(mode(&file), 0o704);
    run(&["chmod", "a+X", &url]).silent();
    assert_eq!(mode(&file), 0o715);
    run(&["chmod", "u+q", &url]).failed(2, &["\"u+q\" is no mode"]);
    run(&["chmod", "640", &server.url("missing"), &url]).failed(14, &["missing"]);
    run(&["chmod", "u+x", &server.url("missing")]).failed(3, &["missing"]);
    assert_eq!(mode(&file), 0o640);
}

#[test]
fn whole_trees_are_changed_but_not_what_links_lead_to() {
    let server = Server::anonymous().start();
    let dir = server.dir();
    fs::create_dir_all(dir.join("tree/sub")).unwrap();
    for file in ["outside", "tree/f", "tree/sub/g"] {
        fs::write(dir.join(file), "").unwrap();
        set_mode(&dir.join(file), 0o644);
    }
    set_mode(&dir.join("tree/sub"), 0o755);
    symlink(dir.join("outside"), dir.join("tree/link")).unwrap();
    run(&["chmod", "-R", "go=", &server.url("tree")]).silent();
    let modes = ["outside", "tree", "tree/f", "tree/sub", "tree/sub/g"].map(|name| mode(&dir.join(name)));
    assert_eq!(modes, [0o644, 0o700, 0o600, 0o700, 0o600]);
    // Closed from below, so that it can be done at all.
    run(&["chmod", "-R", "a-x", &server.url("tree")]).silent();
    assert_eq!(mode(&dir.join("tree")), 0o600);
    run(&["chmod", "-R", "a+X", &server.url("tree")]).silent();
    assert_eq!(mode(&dir.join("tree")), 0o711);
}

#[test]
fn groups_are_set() {
    let server = Server::anonymous().start();
    fs::create_dir(server.dir().join("d")).unwrap();
    fs::write(server.dir().join("d/f"), "").unwrap();
    let group = fs::metadata(server.dir()).unwrap().gid().to_string();
    run(&["chgrp", "-R", &group, &server.url("d")]).silent();
    run(&["chgrp", &group, &server.url("missing")]).failed(3, &["missing"]);
    run(&["chgrp", "no such", &server.url("d")]).failed(2, &["no such"]);
}

#[test]
fn touch_sets_times_and_makes_files() {
    let server = Server::anonymous().start();
    let time = |name: &str| fs::metadata(server.dir().join(name)).unwrap().modified().unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_934_245);
    fs::write(server.dir().join("f"), "kept").unwrap();
    run(&["touch", "-d", "2020-01-02T03:04:05Z", &server.url("f"), &server.url("new")]).silent();
    assert_eq!((time("f"), time("new")), (old, old));
    assert_eq!(fs::read(server.dir().join("f")).unwrap(), b"kept");
    run(&["touch", &server.url("f")]).silent();
    assert!(time("f").elapsed().unwrap() < Duration::from_secs(60));
    run(&["touch", "-d", "2020-01-02T05:04:05+02:00", &server.url("f")]).silent();
    assert_eq!(time("f"), old);
    run(&["touch", "-c", &server.url("none")]).silent();
    assert!(!server.dir().join("none").exists());
    run(&["touch", &server.url("missing/f")]).failed(3, &["missing"]);
    run(&["touch", "-d", "yesterday", &server.url("f")]).failed(2, &["yesterday"]);
}
