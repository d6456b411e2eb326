//! Which name a copy gets, and what is written directly.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::process::Command;

use gridftp_lab::Server;

use crate::fake::{Lie, lying};
use crate::support::{command, copy, copy_from_stdin, folder, names, piped, text};

#[test]
fn a_folder_gets_the_source_s_name() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("name"), "from the server").unwrap();
    fs::write(local.path().join("other"), "from here").unwrap();
    fs::create_dir(server.dir().join("there")).unwrap();
    fs::create_dir(local.path().join("here")).unwrap();
    let here = local.path().join("here");
    for to in [text(&here).to_owned(), format!("{}/", text(&here)), format!("file://{}", text(&here))] {
        copy(&[&server.url("name"), &to]).succeeded();
        assert_eq!(fs::read(here.join("name")).unwrap(), b"from the server");
        fs::remove_file(here.join("name")).unwrap();
    }
    for to in [server.url("there"), format!("{}/", server.url("there"))] {
        copy(&[text(&local.path().join("other")), &to]).succeeded();
        assert_eq!(fs::read(server.dir().join("there/other")).unwrap(), b"from here");
        fs::remove_file(server.dir().join("there/other")).unwrap();
    }
    // Without a folder of that name it is the file's own.
    copy(&[&server.url("name"), text(&here.join("mine"))]).succeeded();
    assert_eq!(names(&here), ["mine"]);
    // Nothing to be named after.
    copy_from_stdin(&["-", text(&here)], b"x").failed(2, &["no file name"]);
    copy_from_stdin(&["-", &server.url("there/")], b"x").failed(2, &["no file name"]);
}

#[test]
fn missing_folders_are_made_when_that_is_asked_for_and_else_refused() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("f"), "contents").unwrap();
    let here = local.path().join("x");
    for (from, to) in [
        (server.url("f"), format!("{}/y/z", text(&here))),
        (server.url("f"), format!("{}/y/", text(&here))),
        (text(&server.dir().join("f")).to_owned(), server.url("a/b/c")),
        (text(&server.dir().join("f")).to_owned(), format!("{}/", server.url("a/b"))),
    ] {
        copy(&[&from, &to]).failed(3, &["(destination"]);
        assert_eq!(names(&server.dir()), ["f"]);
        assert_eq!(names(local.path()), [""; 0]);
        copy(&["-cd", &from, &to]).succeeded();
        // Once more, with folders that are there by now.
        copy(&["-cd", &from, &to]).succeeded();
        for made in [server.dir().join("a"), here.clone()] {
            if made.exists() {
                fs::remove_dir_all(made).unwrap();
            }
        }
    }
    copy(&["-cd", &server.url("f"), &format!("{}/y/z/", text(&here))]).succeeded();
    assert_eq!(fs::read(here.join("y/z/f")).unwrap(), b"contents");
    copy(&["--create-dest", text(&here.join("y/z/f")), &server.url("a/b/c")]).succeeded();
    assert_eq!(fs::read(server.dir().join("a/b/c")).unwrap(), b"contents");
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("f"), "new").unwrap();
    fs::create_dir(local.path().join("data")).unwrap();
    fs::write(local.path().join("data/real"), "old").unwrap();
    symlink("data/real", local.path().join("link")).unwrap();
    symlink("data/to-come", local.path().join("dangling")).unwrap();
    symlink("circle", local.path().join("circle")).unwrap();
    copy(&[&server.url("f"), text(&local.path().join("link"))]).succeeded();
    copy(&[&server.url("f"), text(&local.path().join("dangling"))]).succeeded();
    copy(&[&server.url("f"), text(&local.path().join("circle"))]).failed(10, &["circle", "destination"]);
    assert!(local.path().join("link").is_symlink() && local.path().join("dangling").is_symlink());
    assert_eq!(fs::read(local.path().join("data/real")).unwrap(), b"new");
    assert_eq!(fs::read(local.path().join("data/to-come")).unwrap(), b"new");

    // The same at a server.
    fs::create_dir(server.dir().join("data")).unwrap();
    fs::write(server.dir().join("data/real"), "old and longer").unwrap();
    symlink(server.dir().join("data/real"), server.dir().join("link")).unwrap();
    copy(&[text(&local.path().join("link")), &server.url("link")]).succeeded();
    assert!(server.dir().join("link").is_symlink());
    assert_eq!(fs::read(server.dir().join("data/real")).unwrap(), b"new");
    assert_eq!(names(&server.dir().join("data")), ["real"]);
}

#[test]
fn devices_and_pipes_are_written_directly() {
    let server = Server::anonymous().start();
    let local = folder();
    let contents = gridftp_lab::random_bytes(9, 3_000_000);
    fs::write(server.dir().join("f"), &contents).unwrap();
    copy(&[server.url("f").as_str(), "/dev/null"]).succeeded();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());

    // What is thrown away was compared on its way, and cannot be where it does not come in order.
    gridftp_lab::write_random(&server.dir().join("large"), 10, 90_000_000).unwrap();
    let large = server.url("large");
    copy(&["--verify", "checksum", &large, "/dev/null"]).succeeded();
    let refused = copy(&["--verify", "checksum", "-p", "4", &large, "/dev/null"]);
    refused.failed(10, &["/dev/null", "cannot be read back"]);
    for flag in ["--sync", "--resume"] {
        copy(&[flag, &large, "/dev/null"]).failed(2, &["/dev/null", "expected n"]);
    }

    let pipe = local.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for way in [&["-p", "4"][..], &[]] {
        let mut child =
            piped(&mut command(&[way, &[server.url("f").as_str(), text(&pipe)]].concat())).spawn().unwrap();
        assert!(fs::read(&pipe).unwrap() == contents, "{way:?}");
        assert!(child.wait().unwrap().success());
    }
    // And read.
    let mut child = piped(&mut command(&[text(&pipe), &server.url("g")])).spawn().unwrap();
    fs::write(&pipe, &contents).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fs::read(server.dir().join("g")).unwrap() == contents);
    assert_eq!(names(local.path()), ["pipe"]);

    copy(&["-len", "5000000", "/dev/zero", &server.url("zeros")]).succeeded();
    assert_eq!(fs::read(server.dir().join("zeros")).unwrap(), vec![0; 5_000_000]);
    copy(&["/proc/self/status", &server.url("status")]).succeeded();
    assert!(fs::read_to_string(server.dir().join("status")).unwrap().contains("gridftp-cp"));
}

#[test]
fn devices_of_a_server_are_written_directly_and_survive_a_failure() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(local.path().join("f"), vec![7; 3_000_000]).unwrap();
    let before = fs::metadata("/dev/null").unwrap().ino();
    for way in [&[][..], &["-fast"]] {
        copy(&[way, &[text(&local.path().join("f")), server.url("/dev/null").as_str()]].concat()).succeeded();
    }
    copy(&[text(&local.path().join("f")), &server.url("/dev/full")])
        .failed(9, &["No space left", "destination"]);
    for device in ["/dev/null", "/dev/full"] {
        assert!(fs::metadata(device).unwrap().file_type().is_char_device(), "{device}");
    }
    assert_eq!(fs::metadata("/dev/null").unwrap().ino(), before);
}

#[test]
fn a_server_that_cannot_tell_what_is_there_is_believed_to_have_nothing() {
    let local = folder();
    fs::write(local.path().join("f"), [1; 1000]).unwrap();
    for facts in ["500 MLST not understood", "550 I would rather not say"] {
        let url = lying(Lie { facts, ..Lie::default() });
        copy(&[text(&local.path().join("f")), &url]).succeeded();
        copy(&["-cd", text(&local.path().join("f")), &url]).succeeded();
    }
    let url = lying(Lie { facts: "550 Permission denied", ..Lie::default() });
    copy(&[text(&local.path().join("f")), &url]).failed(4, &["(destination"]);
}

#[test]
fn what_is_in_the_way_is_told() {
    let server = Server::anonymous().start();
    let local = folder();
    fs::write(server.dir().join("f"), "x").unwrap();
    fs::write(local.path().join("g"), "x").unwrap();
    // A folder of the name that the copy would get in a folder.
    fs::create_dir(local.path().join("f")).unwrap();
    fs::create_dir_all(server.dir().join("d/g")).unwrap();
    copy(&[&server.url("f"), text(local.path())]).failed(12, &["is a folder"]);
    copy(&[text(&local.path().join("g")), &server.url("d")]).failed(12, &["is a folder"]);
    // A file where a folder would have to be.
    copy(&[&server.url("f"), &format!("{}/g/x", text(local.path()))]).failed(12, &["Not a directory"]);
    copy(&["-cd", &server.url("f"), &format!("{}/g/x", text(local.path()))]).failed(12, &["g"]);
    copy(&[text(&local.path().join("g")), &server.url("f/x")]).failed(12, &["(destination"]);
    // A folder as source.
    copy(&[text(&local.path().join("f")), &server.url("new")]).failed(12, &["is a folder", "(source"]);
    copy(&[&server.url("d"), text(&local.path().join("new"))]).failed(12, &["(source"]);
    assert_eq!(names(local.path()), ["f", "g"]);
    assert_eq!(names(&server.dir()), ["d", "f"]);
}
