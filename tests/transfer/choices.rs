//! What can be chosen about which files, how fast, and over which channels.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gridftp::options::StripeLayout;
use gridftp::transfer::{Outcome, RateLimit, ReportKind, Shard, SkipReason};
use gridftp::{Client, ErrorKind, TransferReport};
use gridftp_lab::{Server, random_bytes, write_random};

use crate::support::anonymous;

/// A few files, one of them large.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    for n in 0..30_u64 {
        fs::write(root.join(format!("f{n}")), random_bytes(n, 2000)).unwrap();
        fs::write(root.join(format!("sub/g{n}")), random_bytes(n, 10)).unwrap();
    }
    fs::write(root.join("sub/deep/h"), "h").unwrap();
    write_random(&root.join("large"), 1, 3 << 20).unwrap();
}

fn copied(report: &TransferReport) -> BTreeSet<String> {
    report
        .entries()
        .filter(|entry| entry.kind == ReportKind::File && matches!(entry.outcome, Outcome::Copied { .. }))
        .map(|entry| String::from_utf8(entry.path).unwrap())
        .collect()
}

#[tokio::test]
async fn only_the_paths_that_were_named() {
    let client = anonymous();
    let server = Server::anonymous().start();
    plant(&server.dir().join("from"));
    let here = tempfile::tempdir().unwrap();
    // From a server and from here; twice is once, and what is above a path is made.
    for source in [server.url("from"), server.dir().join("from").display().to_string()] {
        let to = here.path().join(format!("to{}", source.len()));
        let paths = ["f1", "sub/deep/h", "f1", "large"];
        let report = client.transfer(&source, &to).paths(paths).await.unwrap();
        report.check().unwrap();
        assert_eq!(copied(&report), ["f1", "sub/deep/h", "large"].map(String::from).into());
        assert_eq!(fs::read(to.join("large")).unwrap(), fs::read(server.dir().join("from/large")).unwrap());
        assert!(!to.join("f2").exists() && !to.join("sub/g1").exists());
        // Folders with -r, and told otherwise; what is missing has failed, or is no failure.
        let report = client.transfer(&source, &to).paths(["sub", "none"]).await.unwrap();
        assert_eq!((report.counts().failed, report.counts().skipped), (1, 1));
        assert_eq!(report.errors()[0].kind(), ErrorKind::NotFound);
        let report = client
            .transfer(&source, &to)
            .recursive(true)
            .optional(true)
            .paths(["sub", "none"])
            .await
            .unwrap();
        report.check().unwrap();
        assert_eq!(copied(&report).len(), 31);
    }
    // What lies below a folder that is named is copied with it, and once.
    for paths in [["sub", "sub/g1", "sub/deep/h"], ["sub/deep/h", "sub/g1", "sub"]] {
        let to = here.path().join(format!("nested{}", paths[0].len()));
        let report = client.transfer(server.url("from"), &to).recursive(true).paths(paths).await.unwrap();
        report.check().unwrap();
        let all: Vec<_> = report.entries().map(|entry| entry.path).collect();
        assert_eq!(all.len(), 33, "{all:?}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 33, "{all:?}");
    }
    // Below something that is no folder nothing can be, and that is told.
    let report = client.transfer(server.url("from"), here.path().join("x")).recursive(true);
    let report = report.paths(["f1", "f1/x"]).await.unwrap();
    assert_eq!((report.counts().files, report.counts().failed), (1, 1));
    // To a server.
    let from = server.dir().join("from");
    let report = client.transfer(&from, server.url("up")).paths(["f3", "sub/g4"]).await.unwrap();
    report.check().unwrap();
    assert_eq!(fs::read(server.dir().join("up/sub/g4")).unwrap(), random_bytes(4, 10));
    for wrong in ["", "/f1", "../f1", "a//b", "a/./b", "f1/"] {
        let error = client.transfer(&from, here.path().join("x")).paths([wrong]).await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("expected"), "{error}");
    }
}

#[tokio::test]
async fn shares_add_up_to_the_tree() {
    let client = anonymous();
    let server = Server::anonymous().start();
    plant(&server.dir().join("from"));
    let here = tempfile::tempdir().unwrap();
    let to = here.path().join("to");
    let mut all = BTreeSet::new();
    for index in 0..3 {
        let transfer = client.transfer(server.url("from"), &to).recursive(true);
        let report = transfer.shard(Shard::new(index, 3).unwrap()).await.unwrap();
        report.check().unwrap();
        let others = report
            .entries()
            .filter(|entry| matches!(entry.outcome, Outcome::Skipped(SkipReason::OtherShard)))
            .count();
        let ours = copied(&report);
        assert_eq!(ours.len() + others, 62);
        assert!(ours.len() > 10 && ours.is_disjoint(&all), "{}", ours.len());
        all.extend(ours);
    }
    assert_eq!(all.len(), 62);
    assert_eq!(fs::read(to.join("sub/deep/h")).unwrap(), b"h");
    let transfer = client.transfer(server.url("from"), &to).recursive(true).delete_extras(true);
    let error = transfer.shard(Shard::new(0, 3).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_rate_is_held_by_all_who_share_it() {
    let client = anonymous();
    let server = Server::anonymous().start();
    fs::create_dir(server.dir().join("many")).unwrap();
    for n in 0..100_u64 {
        fs::write(server.dir().join(format!("many/{n}")), random_bytes(n, 20_000)).unwrap();
    }
    write_random(&server.dir().join("large"), 1, 2_000_000).unwrap();
    let here = tempfile::tempdir().unwrap();
    let limit = RateLimit::new(2_000_000).unwrap();
    let begun = Instant::now();
    let one = client.transfer(server.url("many"), here.path().join("many")).recursive(true);
    let other = client.transfer(server.url("large"), here.path().join("large"));
    let (one, other) = tokio::join!(
        one.rate_limit(limit.clone()).into_future(),
        other.rate_limit(limit.clone()).into_future()
    );
    one.unwrap().check().unwrap();
    other.unwrap().check().unwrap();
    // 4 MB at 2 MB/s; and back.
    assert!(begun.elapsed() > Duration::from_millis(1700), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let up = client.transfer(here.path().join("many"), server.url("up")).recursive(true);
    up.rate_limit(limit.clone()).await.unwrap().check().unwrap();
    assert!(begun.elapsed() > Duration::from_millis(800), "{:?}", begun.elapsed());
    let between = client.transfer(server.url("large"), server.url("other")).rate_limit(limit);
    assert_eq!(between.await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn stripes_and_drivers_carry_whole_trees() {
    let client = anonymous();
    let server = Server::anonymous().striped(2).start();
    let from = server.dir().join("from");
    plant(&from);
    let here = tempfile::tempdir().unwrap();
    let down = here.path().join("down");
    let transfer = client.transfer(server.url("from"), &down).recursive(true);
    transfer.striped(true).await.unwrap().check().unwrap();
    let transfer = client.transfer(&down, server.url("up")).recursive(true);
    let layout = StripeLayout::Blocked { block_bytes: 64 << 10 };
    transfer.layout(layout).allocate(false).await.unwrap().check().unwrap();
    let plain = Server::anonymous().start();
    let transfer = client.transfer(server.dir().join("up"), plain.url("third")).recursive(true);
    let transfer = transfer.net_stack(["tcp"]).destination_disk_stack(["file"]).delayed_passive(true);
    transfer.await.unwrap().check().unwrap();
    for file in ["large", "f7", "sub/deep/h", "sub/g29"] {
        let wanted = fs::read(from.join(file)).unwrap();
        assert!(fs::read(down.join(file)).unwrap() == wanted, "{file}");
        assert!(fs::read(plain.dir().join("third").join(file)).unwrap() == wanted, "{file}");
    }
    // What a server does not have is an error, and nothing is there.
    let report = client.transfer(plain.url("third/f7"), here.path().join("x")).net_stack(["no-such"]).await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(!here.path().join("x").exists());
    let between = client.transfer(plain.url("third"), server.url("x")).recursive(true);
    assert_eq!(between.source_disk_stack(["file"]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_server_that_cannot_connect_back_sends_small_files_one_by_one() {
    let server = Server::anonymous().start();
    plant(&server.dir().join("from"));
    let here = tempfile::tempdir().unwrap();
    // A gateway that hands nothing on: nobody listens there.
    let behind = |address: &str| Client::builder().data_address(address.parse::<std::net::IpAddr>().unwrap());
    for (address, to) in [("127.0.0.2", "lost"), ("127.0.0.1", "found")] {
        let client = behind(address).build().unwrap();
        let to = here.path().join(to);
        let report = client.transfer(server.url("from"), &to).recursive(true).await.unwrap();
        report.check().unwrap();
        assert_eq!(copied(&report).len(), 62);
        for file in ["large", "f7", "sub/deep/h", "sub/g29"] {
            assert!(
                fs::read(to.join(file)).unwrap() == fs::read(server.dir().join("from").join(file)).unwrap()
            );
        }
    }
    // Where only extended block mode will do, it is told that nobody came.
    let client = behind("127.0.0.2").build().unwrap();
    let get = client.get(server.url("from/large")).parallelism(2);
    assert!(async { get.await?.bytes().await }.await.is_err());
}
