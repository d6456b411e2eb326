//! What a production system like IceCube's IceProd needs of a replacement, requirement by requirement (R1 to R16). R13 is about
//! how programs are shipped and R15 about HTCondor; neither is the library's.

use std::fs;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gridftp::options::{Timeouts, TransferMode};
use gridftp::transfer::{Overwrite, Retry, Verify};
use gridftp::{ChecksumAlgorithm, Client, Credential, ErrorKind, TimeoutKind};
use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
use gridftp_lab::{Server, random_bytes, sha256, sha256_file, write_random};

use crate::support::{anonymous, builder, trusting};

#[test]
fn r1_every_verb_async_and_blocking_and_bytes_as_they_are() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    // The blocking facade is a runtime of the program's own, as in examples/blocking.rs.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = anonymous();
    let bytes = random_bytes(1, 300_000);
    runtime.block_on(async {
        client.create_dir_all(server.url("a/b")).await.unwrap();
        let mut put = client.put(server.url("a/b/f")).await.unwrap();
        put.write(bytes.clone().into()).await.unwrap();
        put.finish().await.unwrap();
        assert_eq!(client.get(server.url("a/b/f")).await.unwrap().bytes().await.unwrap(), bytes);
        assert_eq!(client.size(server.url("a/b/f")).await.unwrap(), 300_000);
        client.chmod(server.url("a/b/f"), 0o600).await.unwrap();
        client.rename(server.url("a/b/f"), server.url("a/g")).await.unwrap();
        assert!(
            client.exists(server.url("a/g")).await.unwrap()
                && !client.exists(server.url("a/b/f")).await.unwrap()
        );
        client.remove_file(server.url("a/g")).await.unwrap();
        client.remove_dir(server.url("a/b")).await.unwrap();
        assert!(client.remove_dir_all(server.url("a")).await.unwrap().is_complete());
    });
    fs::write(here.path().join("f"), &bytes).unwrap();
    let report =
        runtime.block_on(client.transfer(here.path().join("f"), server.url("f")).into_future()).unwrap();
    report.check().unwrap();
    assert_eq!(fs::read(server.dir().join("f")).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_exactly_one_completion_on_success_failure_timeout_and_cancel() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    fs::write(server.dir().join("f"), "x").unwrap();
    let silent = Proxy::before(&server)
        .with(Fault::new(Where::EveryControl, Way::ToClient, 0, What::BlackHole))
        .start();
    let limit = Duration::from_millis(300);
    let hasty = Client::builder()
        .timeouts(Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit))
        .build()
        .unwrap();
    let client = anonymous();
    let completions = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let completions = Arc::clone(&completions);
        let (client, from) = match n % 4 {
            0 => (client.clone(), server.url("f")),
            1 => (client.clone(), server.url("missing")),
            _ => (hasty.clone(), silent.url(server.dir().join("f"))),
        };
        let to = here.path().join(format!("f{n}"));
        tasks.spawn(async move {
            let transfer = client.transfer(from, &to).retry(Retry::never()).start().unwrap();
            let result = if n % 4 == 3 { transfer.abort().await } else { transfer.join().await };
            // In a task of the user's own, and never on a thread of the Globus libraries.
            assert_ne!(std::thread::current().name(), Some("globus"));
            completions.fetch_add(1, Ordering::SeqCst);
            match n % 4 {
                0 => result.unwrap().check().unwrap(),
                1 => assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound),
                2 => assert!(matches!(result.unwrap_err().kind(), ErrorKind::Timeout(_))),
                _ => assert!(result.map_or(true, |report| report.is_aborted())),
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(completions.load(Ordering::SeqCst), 40);
}

#[tokio::test]
async fn r3_extended_block_data_comes_in_order_or_with_offsets() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let hash = write_random(&server.dir().join("f"), 5, 30 << 20).unwrap();
    let get = || client.get(server.url("f")).mode(TransferMode::ExtendedBlock).parallelism(4);
    let in_order = get().await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&in_order), hash);
    let mut by_offset = vec![0; 30 << 20];
    let mut blocks = get().await.unwrap();
    while let Some(block) = blocks.next_block().await.unwrap() {
        let at = usize::try_from(block.offset).unwrap();
        by_offset[at..at + block.data.len()].copy_from_slice(&block.data);
    }
    assert_eq!(sha256(&by_offset), hash);
}

#[tokio::test]
async fn r4_a_stall_ends_a_transfer_and_a_slow_one_goes_on() {
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let hash = write_random(&server.dir().join("f"), 5, 3 << 20).unwrap();
    let stall = Duration::from_millis(700);
    let client = builder().timeouts(Timeouts::default().stall(stall).first_byte(stall)).build().unwrap();
    // Slow all the time: several times the limit, and no pause of that length.
    let slow = Proxy::before(&server)
        .with(Fault::new(Where::EveryData, Way::ToClient, 0, What::Throttle(1 << 20)))
        .start();
    let begun = Instant::now();
    client.transfer(slow.url(server.dir().join("f")), here.path().join("f")).await.unwrap().check().unwrap();
    assert!(begun.elapsed() > stall * 2, "{:?}", begun.elapsed());
    assert_eq!(sha256_file(&here.path().join("f")).unwrap(), hash);
    let mute = Proxy::before(&server)
        .with(Fault::new(Where::EveryData, Way::ToClient, 1 << 20, What::Stall))
        .start();
    let transfer =
        client.transfer(mute.url(server.dir().join("f")), here.path().join("g")).retry(Retry::never());
    let error = transfer.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Stall), "{error}");
    crate::support::eventually("no connection goes on", || mute.open() <= 1).await;
    assert!(!here.path().join("g").exists());
}

#[tokio::test]
async fn r5_errors_say_what_where_and_whether_to_try_again() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("f"), "x").unwrap();
    fs::create_dir_all(server.dir().join("full/x")).unwrap();
    let error = client.transfer(server.url("no"), here.path().join("g")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotFound, false));
    assert!(error.to_string().contains(&server.url("no")), "{error}");
    let error = client.remove_dir(server.url("full")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEmpty);
    assert!(error.reply().is_some_and(|reply| reply.code() >= 400), "the server's own words are there");
    let refused = gridftp_lab::RefusedPort::new();
    let url = format!("ftp://127.0.0.1:{}/f", refused.port());
    let error = client.transfer(here.path().join("f"), url).retry(Retry::never()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Connect, true));
    assert_eq!(error.side(), Some(gridftp::Side::Destination));
}

#[tokio::test]
async fn r6_making_and_removing_trees_may_be_done_twice() {
    let client = anonymous();
    let server = Server::anonymous().start();
    for _ in 0..2 {
        client.create_dir_all(server.url("a/b/c/d")).await.unwrap();
    }
    for n in 0..300 {
        fs::write(server.dir().join(format!("a/b/f{n}")), "x").unwrap();
    }
    let report = client.remove_dir_all(server.url("a")).await.unwrap();
    assert!(report.is_complete());
    assert!(!server.dir().join("a").exists());
    let again = client.remove_dir_all(server.url("a")).await;
    assert!(again.is_ok() || again.is_err_and(|error| error.kind() == ErrorKind::NotFound));
}

#[tokio::test]
async fn r7_a_put_replaces_whole_or_not_at_all() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("f");
    write_random(&file, 1, 5 << 20).unwrap();
    fs::write(server.dir().join("f"), "old").unwrap();
    let broken = Proxy::before(&server)
        .with(Fault::new(Where::EveryData, Way::ToServer, 1 << 20, What::Reset))
        .start();
    let there = server.dir().join("f");
    let failed = client.transfer(&file, broken.url(&there)).retry(Retry::never()).await;
    assert!(failed.is_err());
    assert_eq!(fs::read(&there).unwrap(), b"old", "the old file until the new one is whole");
    let kept = client.transfer(&file, server.url("f")).overwrite(Overwrite::Never).await.unwrap();
    assert_eq!((kept.counts().skipped, fs::read(&there).unwrap()), (1, b"old".to_vec()));
    client.transfer(&file, server.url("f")).await.unwrap().check().unwrap();
    assert_eq!(fs::read(&there).unwrap(), fs::read(&file).unwrap());
}

#[tokio::test]
async fn r8_checksums_by_the_server_or_by_reading_back() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("f");
    write_random(&file, 1, 3 << 20).unwrap();
    for algorithm in ["MD5", "SHA1", "SHA256", "SHA512", "ADLER32", "CRC32"] {
        // The stock server has no CRC32: what it stored is read back.
        let verify = Verify::ChecksumBy(algorithm.parse().unwrap());
        for (from, to) in [
            (file.to_str().unwrap().to_owned(), server.url("f")),
            (server.url("f"), here.path().join("g").to_str().unwrap().to_owned()),
        ] {
            let report = client.transfer(&from, &to).verify(verify.clone()).await;
            report.unwrap_or_else(|error| panic!("{algorithm} {from}: {error}")).check().unwrap();
        }
        assert_eq!(sha256_file(&here.path().join("g")).unwrap(), sha256_file(&file).unwrap());
    }
    let sum = client.checksum(server.url("f"), ChecksumAlgorithm::Sha256, ..).await.unwrap();
    assert_eq!(sum.to_hex(), sha256_file(&file).unwrap());
}

#[tokio::test]
async fn r9_typed_listings() {
    let client = anonymous();
    let server = Server::anonymous().start();
    fs::create_dir(server.dir().join("d")).unwrap();
    let list = |url: String, dots: bool| {
        let client = client.clone();
        async move {
            let mut found = Vec::new();
            let mut list = client.list(url).dot_entries(dots);
            while let Some(entry) = list.next_entry().await? {
                found.push(entry);
            }
            Ok::<_, gridftp::Error>(found)
        }
    };
    assert!(list(server.url("d"), false).await.unwrap().is_empty());
    fs::write(server.dir().join("d/two  blanks "), "12345").unwrap();
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(server.dir().join("d/two  blanks "))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let found = list(server.url("d"), false).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name(), found[0].size(), found[0].modified()),
        (&b"two  blanks "[..], Some(5), Some(old))
    );
    assert_eq!(list(server.url("d"), true).await.unwrap().len(), 3);
    assert_eq!(list(server.url("no"), false).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_hundreds_of_operations_over_few_sessions() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("f");
    fs::write(&file, random_bytes(3, 10_000)).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..300 {
        let (client, file, url) = (client.clone(), file.clone(), server.url(format!("f{n}")));
        tasks.spawn(async move { client.transfer(file, url).await.unwrap().check().unwrap() });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    for n in 0..300 {
        assert_eq!(fs::read(server.dir().join(format!("f{n}"))).unwrap(), fs::read(&file).unwrap());
    }
    assert!(client.metrics().logins <= 12, "{:?}", client.metrics());
}

#[test]
fn r11_a_proxy_for_each_call() {
    trusting("iceprod::r11_a_proxy_for_each_call", |pki| async move {
        let server = Server::gsi(&pki).start();
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("f"), "x").unwrap();
        let client = anonymous();
        let proxy = Credential::from_proxy_file(pki.proxy());
        assert!(proxy.info().await.unwrap().remaining() > Duration::from_secs(60));
        let without = client.transfer(here.path().join("f"), server.url("f")).retry(Retry::never()).await;
        assert_eq!(without.unwrap_err().kind(), ErrorKind::Authentication);
        let report = client
            .transfer(here.path().join("f"), server.url("f"))
            .destination_credential(proxy.clone())
            .await;
        report.unwrap().check().unwrap();
        let back =
            client.transfer(server.url("f"), here.path().join("g")).source_credential(proxy.clone()).await;
        back.unwrap().check().unwrap();
        assert_eq!(fs::read(here.path().join("g")).unwrap(), b"x");
        let between = client
            .transfer(server.url("f"), server.url("h"))
            .source_credential(proxy.clone())
            .destination_credential(proxy)
            .await;
        between.unwrap().check().unwrap();
        assert_eq!(fs::read(server.dir().join("h")).unwrap(), b"x");
    });
}

#[tokio::test]
async fn r12_optional_is_about_what_is_missing_and_nothing_else() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    for (from, to) in [
        (server.url("no"), here.path().join("f").to_str().unwrap().to_owned()),
        (here.path().join("no").to_str().unwrap().to_owned(), server.url("f")),
    ] {
        let report = client.transfer(&from, &to).optional(true).await.unwrap();
        assert_eq!((report.counts().skipped, report.is_complete()), (1, true), "{from}");
        assert!(client.transfer(&from, &to).await.is_err());
    }
    fs::create_dir(server.dir().join("folder")).unwrap();
    let folder = client.transfer(server.url("folder"), here.path().join("f")).optional(true).await;
    assert_eq!(folder.unwrap_err().kind(), ErrorKind::IsADirectory);
    let refused = gridftp_lab::RefusedPort::new();
    let url = format!("ftp://127.0.0.1:{}/f", refused.port());
    let nobody = client.transfer(url, here.path().join("f")).optional(true).retry(Retry::never()).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn r14_figures() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    fs::write(server.dir().join("f"), vec![b'x'; 5000]).unwrap();
    client.transfer(server.url("f"), here.path().join("f")).await.unwrap().check().unwrap();
    assert!(client.remove_file(server.url("no")).await.is_err());
    let metrics = client.metrics();
    assert!(
        metrics.bytes_received >= 5000 && metrics.logins >= 1 && metrics.operations_done >= 1,
        "{metrics:?}"
    );
    assert!(metrics.operations_failed >= 1, "{metrics:?}");
}

#[tokio::test]
async fn r16_several_candidates_for_a_file() {
    let client = anonymous();
    let server = Server::anonymous().start();
    let here = tempfile::tempdir().unwrap();
    fs::write(server.dir().join("f"), "here it is").unwrap();
    let refused = gridftp_lab::RefusedPort::new();
    let report = client
        .transfer(format!("ftp://127.0.0.1:{}/f", refused.port()), here.path().join("f"))
        .or_from(server.url("missing"))
        .or_from(server.url("f"))
        .await
        .unwrap();
    report.check().unwrap();
    assert_eq!(fs::read(here.path().join("f")).unwrap(), b"here it is");
}
