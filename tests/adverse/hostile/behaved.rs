//! The hostile server, well-behaved: every operation of ours and of globus-url-copy, contents compared.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use gridftp::options::TransferMode;
use gridftp::{ByteRange, ChecksumAlgorithm, ErrorKind};
use gridftp_lab::hostile::{Hostile, Play};
use gridftp_lab::{packages, random_bytes, sha256};

use crate::support::{WAYS, anonymous};

const SIZES: [usize; 5] = [0, 1, 65_536, 262_145, 3_000_000];

fn play() -> Play {
    SIZES.into_iter().fold(Play::new().folder("/in"), |play, size| {
        play.file(&format!("/data/f{size}"), random_bytes(size as u64, size))
    })
}

#[tokio::test]
async fn our_client_gets_and_puts_every_way() {
    let server = Hostile::start(play().stripes(2));
    let client = anonymous();
    for (mode, streams) in WAYS {
        for size in SIZES {
            let expected = random_bytes(size as u64, size);
            let url = server.url(&format!("/data/f{size}"));
            let got = client.get(&url).mode(mode).parallelism(streams).await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&got), sha256(&expected), "{mode:?} {streams} {size}");

            let name = format!("/in/{mode:?}-{streams}-{size}");
            let mut put = client.put(server.url(&name)).mode(mode).parallelism(streams).await.unwrap();
            for piece in expected.chunks(100_000) {
                put.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            put.finish().await.unwrap();
            assert_eq!(sha256(&server.stored(&name).unwrap()), sha256(&expected), "{name}");
        }
        let part = ByteRange::from(1_000..200_000);
        let url = server.url("/data/f3000000");
        let got = client
            .get(&url)
            .mode(mode)
            .parallelism(streams)
            .range(part)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert!(got == random_bytes(3_000_000, 3_000_000)[1_000..200_000], "{mode:?} {streams}");
    }
    for striped in [1, 4] {
        let url = server.url("/data/f3000000");
        let get = client.get(&url).mode(TransferMode::ExtendedBlock).parallelism(striped).striped(true);
        let got = get.await.unwrap().bytes().await.unwrap();
        assert_eq!(sha256(&got), sha256(&random_bytes(3_000_000, 3_000_000)));
        let name = format!("/in/striped-{striped}");
        let put = client.put(server.url(&name)).mode(TransferMode::ExtendedBlock).parallelism(striped);
        let mut put = put.striped(true).await.unwrap();
        put.write(got.clone()).await.unwrap();
        put.finish().await.unwrap();
        assert_eq!(sha256(&server.stored(&name).unwrap()), sha256(&got));
    }
    assert_eq!(client.metrics().sessions_open, 1);
}

#[tokio::test]
async fn our_client_asks_and_changes() {
    let server = Hostile::start(play().password("user", "word"));
    let client = anonymous();
    let url = server.url("/data/f262145");
    assert_eq!(client.size(&url).await.unwrap(), 262_145);
    assert_eq!(client.stat(&url).await.unwrap().size(), Some(262_145));
    assert!(client.exists(&url).await.unwrap());
    assert!(!client.exists(server.url("/data/nothing")).await.unwrap());
    client.modified(&url).await.unwrap();
    let sum = client.checksum(&url, ChecksumAlgorithm::Sha256, ..).await.unwrap();
    assert_eq!(sum.to_hex(), sha256(&random_bytes(262_145, 262_145)));
    client.rename(&url, server.url("/in/new")).await.unwrap();
    assert_eq!(client.size(&url).await.unwrap_err().kind(), ErrorKind::NotFound);
    client.create_dir_all(server.url("/in/a/b/c")).await.unwrap();
    client.remove_dir(server.url("/in/a/b/c")).await.unwrap();
    client.remove_file(server.url("/in/new")).await.unwrap();

    let mut names = Vec::new();
    let mut list = client.list(server.url("/data"));
    while let Some(entry) = list.next_entry().await.unwrap() {
        names.push(entry.name_lossy().into_owned());
    }
    assert_eq!(names, ["f0", "f1", "f3000000", "f65536"]);
    for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
        let walk = client.walk(server.url("/")).mode(mode);
        let found: Vec<_> = walk.map(|entry| entry.unwrap().path()).collect().await;
        assert_eq!(found.len(), 8, "{found:?}");
    }
    let report = client.remove_dir_all(server.url("/data")).await.unwrap();
    assert_eq!((report.removed_files(), report.removed_dirs()), (4, 1));
    assert!(!server.exists("/data"));
    let wrong = server.url("/data").replace("word", "wrong");
    assert_eq!(client.stat(wrong).await.unwrap_err().kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn our_client_runs_its_pipeline_and_moves_between_two() {
    let from = Hostile::start(play());
    let to = Hostile::start(Play::new().folder("/in"));
    let client = anonymous();
    let mut urls: Vec<_> =
        SIZES.iter().cycle().take(40).map(|size| from.url(&format!("/data/f{size}"))).collect();
    urls.insert(7, from.url("/data/none"));
    let mut many = client.get_many(&urls).await.unwrap();
    let mut right = 0;
    while let Some(mut file) = many.next_file().await.unwrap() {
        let name = file.url().to_string();
        match file.bytes().await {
            Ok(bytes) => {
                let size: usize = name.rsplit_once("/f").unwrap().1.parse().unwrap();
                assert_eq!(sha256(&bytes), sha256(&random_bytes(size as u64, size)));
                right += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{name}"),
        }
    }
    assert_eq!(right, 40);
    for (mode, streams) in WAYS {
        for size in SIZES {
            let name = format!("/in/{mode:?}-{streams}-{size}");
            let transfer = client.third_party(from.url(&format!("/data/f{size}")), to.url(&name));
            let transfer = transfer.mode(mode).parallelism(streams).await.unwrap();
            transfer.join().await.unwrap();
            assert_eq!(
                sha256(&to.stored(&name).unwrap()),
                sha256(&random_bytes(size as u64, size)),
                "{name}"
            );
        }
    }
    let pairs = SIZES.map(|size| (from.url(&format!("/data/f{size}")), to.url(&format!("/in/many-{size}"))));
    let mut many = client.third_party_many(pairs).await.unwrap();
    while let Some(outcome) = many.next_outcome().await {
        outcome.result.unwrap();
    }
    for size in SIZES {
        let stored = to.stored(&format!("/in/many-{size}")).unwrap();
        assert_eq!(sha256(&stored), sha256(&random_bytes(size as u64, size)));
    }
}

#[test]
fn globus_url_copy_finds_nothing_wrong() {
    let guc = packages::URL_COPY.program().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (Hostile::start(play()), Hostile::start(Play::new().folder("/in")));
    let run = |arguments: &[&str]| {
        let output = Command::new(&guc).args(["-st", "10"]).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}\n{:?}\n{:?}", from.heard(), to.heard());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let local = folder.path().join("got");
    let file = format!("file://{}", local.display());
    for (way, options) in [("s", &[][..]), ("e", &["-fast"]), ("p", &["-fast", "-p", "4"])] {
        for size in SIZES {
            let source = from.url(&format!("/data/f{size}"));
            let expected = sha256(&random_bytes(size as u64, size));
            run(&[options, &[&source, &file]].concat());
            assert_eq!(gridftp_lab::sha256_file(&local).unwrap(), expected, "get {way} {size}");
            run(&[options, &[&file, &to.url(&format!("/in/{way}{size}"))]].concat());
            assert_eq!(
                sha256(&to.stored(&format!("/in/{way}{size}")).unwrap()),
                expected,
                "put {way} {size}"
            );
            run(&[options, &[&source, &to.url(&format!("/in/3{way}{size}"))]].concat());
            assert_eq!(
                sha256(&to.stored(&format!("/in/3{way}{size}")).unwrap()),
                expected,
                "third {way} {size}"
            );
        }
    }
    assert!(run(&["-list", &format!("{}/", from.url("/data"))]).contains("f65536"));
    let tree = folder.path().join("tree");
    run(&["-r", "-cd", &format!("{}/", from.url("/data")), &format!("file://{}/", tree.display())]);
    assert_eq!(std::fs::read(tree.join("f3000000")).unwrap(), random_bytes(3_000_000, 3_000_000));
}

#[tokio::test]
async fn dropping_it_ends_everything_within_a_second() {
    let server = Hostile::start(play());
    let client = anonymous();
    let mut get = client.get(server.url("/data/f3000000")).window(1).await.unwrap();
    get.next_block().await.unwrap();
    let port = server.port();
    let start = gridftp_lab::Pulse::start();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    // What the kernel holds may still be read; then the loss shows.
    assert!(get.bytes().await.is_err());
}
