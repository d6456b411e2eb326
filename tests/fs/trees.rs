//! `rm -r`, `du`, `find`.

use std::fs;
use std::os::unix::fs::symlink;

use gridftp_lab::Server;

use crate::support::{names_in, run};

fn server_with_tree() -> Server {
    let server = Server::anonymous().start();
    let dir = server.dir();
    fs::create_dir_all(dir.join("tree/a b/deep")).unwrap();
    fs::create_dir_all(dir.join("tree/empty")).unwrap();
    fs::write(dir.join("tree/top.txt"), vec![0; 10]).unwrap();
    fs::write(dir.join("tree/a b/mid.root"), vec![0; 2000]).unwrap();
    fs::write(dir.join("tree/a b/deep/low.root"), vec![0; 300]).unwrap();
    fs::write(dir.join("outside"), vec![0; 70_000]).unwrap();
    symlink("../outside", dir.join("tree/link")).unwrap();
    server
}

#[test]
fn trees_are_removed_and_not_what_links_lead_to() {
    let server = server_with_tree();
    run(&["rm", "-r", &server.url("tree")]).silent();
    assert_eq!(names_in(&server.dir()), ["outside"]);
    run(&["rm", "-r", &server.url("tree")]).failed(3, &["tree"]);
    run(&["rm", "-rf", &server.url("tree")]).silent();
    // A file as well.
    run(&["rm", "-r", &server.url("outside")]).silent();
    assert_eq!(names_in(&server.dir()), [""; 0]);
}

#[test]
fn what_could_not_be_removed_is_told() {
    let server = server_with_tree();
    // FTP cannot carry such a name.
    fs::write(server.dir().join("tree/ctl\x01"), "").unwrap();
    run(&["rm", "-r", &server.url("tree")]).failed(14, &["ctl"]);
    assert_eq!(names_in(&server.dir().join("tree")), ["ctl\x01"]);
}

#[test]
fn sizes_are_summed_up() {
    let server = server_with_tree();
    let root = server.url("tree");
    let outcome = run(&["du", &root]).succeeded();
    let sums: Vec<(&str, &str)> = outcome
        .lines()
        .iter()
        .map(|line| line.split_once(' ').map(|(sum, url)| (sum, url.trim())).unwrap())
        .collect();
    let (deep, mid, empty) = (format!("{root}/a%20b/deep"), format!("{root}/a%20b"), format!("{root}/empty"));
    assert_eq!(sums, [("300", &*deep), ("2300", &*mid), ("0", &*empty), ("2310", &*root)]);
    let object = &run(&["du", "-s", "--json", &root]).succeeded().json()[0];
    assert_eq!(
        (&object["bytes"], &object["files"], &object["folders"]),
        (&2310.into(), &4.into(), &4.into())
    );
    let several = run(&["du", "-s", "--human", &root, &server.url("outside")]).succeeded();
    let starts: Vec<_> =
        several.lines().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(starts, ["2.2K", "68K", "70K"]);
    assert!(several.lines()[2].ends_with("total"));
    run(&["du", &server.url("missing")]).failed(3, &["missing"]);
    run(&["du", &server.url("missing"), &root]).failed(14, &["missing"]);
}

#[test]
fn find_shows_what_matches() {
    let server = server_with_tree();
    let root = server.url("tree");
    run(&["touch", "-d", "2020-01-01", &server.url("tree/top.txt")]).silent();
    let find = |flags: &[&str]| {
        let outcome = run(&[&["find", root.as_str()], flags].concat()).succeeded();
        let mut urls: Vec<String> =
            outcome.lines().iter().map(|url| url.strip_prefix(root.as_str()).unwrap().to_owned()).collect();
        urls.sort();
        urls
    };
    let all = [
        "",
        "/a%20b",
        "/a%20b/deep",
        "/a%20b/deep/low.root",
        "/a%20b/mid.root",
        "/empty",
        "/link",
        "/top.txt",
    ];
    assert_eq!(find(&[]), all);
    assert_eq!(find(&["--name", "*.root"]), ["/a%20b/deep/low.root", "/a%20b/mid.root"]);
    assert_eq!(find(&["--name", "*.root", "--size", "+1K"]), ["/a%20b/mid.root"]);
    assert_eq!(find(&["--size", "-11", "--type", "f"]), ["/top.txt"]);
    assert_eq!(find(&["--size", "300"]), ["/a%20b/deep/low.root"]);
    assert_eq!(find(&["--type", "d", "--max-depth", "1"]), ["", "/a%20b", "/empty"]);
    assert_eq!(find(&["--max-depth", "0"]), [""]);
    assert_eq!(find(&["--type", "l"]), ["/link"]);
    assert_eq!(find(&["--older", "1w"]), ["/top.txt"]);
    assert_eq!(find(&["--newer", "1h", "--name", "*.txt"]), [""; 0]);
    assert_eq!(find(&["--newer", "2019-12-31", "--older", "2020-01-02T00:00:00Z"]), ["/top.txt"]);

    let null = run(&["find", "-0", "--name", "*.txt", &root]).succeeded();
    assert_eq!(null.text(), format!("{root}/top.txt\0"));
    let objects = run(&["find", "--json", "--name", "*.txt", &root]).succeeded().json();
    assert_eq!((&objects[0]["name"], &objects[0]["size"]), (&"top.txt".into(), &10.into()));
    run(&["find", &server.url("missing")]).failed(3, &["missing"]);
    run(&["find", "--name", "[", &root]).failed(2, &["pattern"]);
    run(&["find", "--type", "x", &root]).failed(2, &["x"]);
}
