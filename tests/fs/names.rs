//! `mkdir`, `rmdir`, `mv`, `ln`, `rm` of single things.

use std::fs;

use gridftp_lab::Server;

use crate::support::{names_in, run};

#[test]
fn folders_are_made_and_removed() {
    let server = Server::anonymous().start();
    run(&["mkdir", &server.url("a"), &server.url("b")]).silent();
    assert_eq!(names_in(&server.dir()), ["a", "b"]);
    run(&["mkdir", &server.url("a")]).failed(12, &["a"]);
    run(&["mkdir", &server.url("x/y")]).failed(3, &["x/y"]);
    run(&["mkdir", &server.url("x/y"), &server.url("c")]).failed(14, &["x/y"]);
    run(&["mkdir", "-p", &server.url("x/y/z"), &server.url("a")]).silent();
    assert!(server.dir().join("x/y/z").is_dir());
    run(&["rmdir", &server.url("x")]).failed(12, &["not empty"]);
    run(&["rmdir", &server.url("missing"), &server.url("a")]).failed(14, &["missing"]);
    assert_eq!(names_in(&server.dir()), ["b", "c", "x"]);
}

#[test]
fn names_are_changed_and_things_moved() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "contents").unwrap();
    fs::create_dir(server.dir().join("folder")).unwrap();
    run(&["mv", &server.url("f"), &server.url("g")]).silent();
    run(&["mv", &server.url("g"), &server.url("folder")]).silent();
    assert_eq!(fs::read(server.dir().join("folder/g")).unwrap(), b"contents");
    run(&["mv", &server.url("folder"), &server.url("renamed")]).silent();
    assert_eq!(names_in(&server.dir()), ["renamed"]);
    run(&["mv", &server.url("missing"), &server.url("other")]).failed(3, &["missing"]);
    run(&["mv", &server.url("renamed"), "ftp://elsewhere.example/x"]).failed(2, &["gridftp-cp"]);
    run(&["mv", &server.url("renamed/g"), &server.url("missing/g")]).failed(3, &[]);
    assert!(server.dir().join("renamed/g").exists());
}

#[test]
fn links_are_made() {
    let server = Server::anonymous().start();
    let file = server.dir().join("f");
    fs::write(&file, "").unwrap();
    run(&["ln", "-s", file.to_str().unwrap(), &server.url("link")]).silent();
    assert_eq!(fs::read_link(server.dir().join("link")).unwrap(), file);
    run(&["ln", "-s", file.to_str().unwrap(), &server.url("link")]).failed(12, &["link"]);
    run(&["ln", file.to_str().unwrap(), &server.url("hard")]).failed(2, &["--symbolic"]);
    run(&["ln", "-s", &server.url("f"), &server.url("other")]).failed(2, &["is a URL"]);
}

#[test]
fn files_are_removed_and_folders_only_when_asked_for() {
    let server = Server::anonymous().start();
    for name in ["a", "b", "c"] {
        fs::write(server.dir().join(name), "").unwrap();
    }
    fs::create_dir(server.dir().join("folder")).unwrap();
    run(&["rm", &server.url("a"), &server.url("b")]).silent();
    run(&["rm", &server.url("a")]).failed(3, &["a"]);
    run(&["rm", "-f", &server.url("a")]).silent();
    run(&["rm", &server.url("missing"), &server.url("c")]).failed(14, &["missing"]);
    run(&["rm", &server.url("folder")]).failed(12, &["-r removes folders"]);
    run(&["rm", "-f", &server.url("folder")]).failed(12, &[]);
    assert_eq!(names_in(&server.dir()), ["folder"]);
}

#[test]
fn the_root_is_never_removed() {
    let server = Server::anonymous().start();
    fs::write(server.dir().join("f"), "").unwrap();
    for root in ["", "/", "//", "/.", "/tmp/..", "/tmp/../", "/../.", "/%2e"] {
        let url = format!("{}{root}", server.url_root());
        run(&["rm", "-rf", &server.url("f"), &url]).failed(2, &["root folder"]);
    }
    // Nothing else was, either.
    assert_eq!(names_in(&server.dir()), ["f"]);
}
