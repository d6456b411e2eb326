//! Files and folders that change, go away or are closed while they are moved.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gridftp::options::TransferMode;
use gridftp::{Bytes, Client, ErrorKind, Get, Phase};
use gridftp_lab::{Server, random_bytes};

use super::unprivileged;
use crate::support::{WAYS, anonymous, builder, eventually};

/// More than what fits into sockets and windows between a server and a client that does not read.
const SIZE: usize = 64_000_000;

fn mode_of(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A get of a large file that has begun.
async fn begun(client: &Client, url: &str, mode: TransferMode, streams: u16) -> (Get, Vec<u8>) {
    let mut get = client.get(url).mode(mode).parallelism(streams).window(2).await.unwrap();
    let mut here = vec![0; SIZE];
    let block = get.next_block().await.unwrap().unwrap();
    let at = usize::try_from(block.offset).unwrap();
    here[at..at + block.data.len()].copy_from_slice(&block.data);
    (get, here)
}

async fn rest(get: &mut Get, here: &mut Vec<u8>) -> gridftp::Result<()> {
    while let Some(block) = get.next_block().await? {
        let at = usize::try_from(block.offset).unwrap();
        here.resize(here.len().max(at + block.data.len()), 0);
        here[at..at + block.data.len()].copy_from_slice(&block.data);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_fetched() {
    let server = Server::anonymous().start();
    let contents = random_bytes(1, SIZE);
    let path = server.dir().join("f");
    let client = anonymous();
    for (mode, streams) in WAYS {
        let case = format!("{mode:?} {streams}");
        std::fs::write(&path, &contents).unwrap();

        // Removed, or replaced by another: the server has the old one open.
        let (mut get, mut here) = begun(&client, &server.url("f"), mode, streams).await;
        std::fs::rename(&path, server.dir().join("old")).unwrap();
        std::fs::write(&path, "another").unwrap();
        rest(&mut get, &mut here).await.unwrap();
        assert!(here == contents, "{case}: replaced");
        assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap(), "another");

        // Shorter than it was announced: never a success.
        std::fs::write(&path, &contents).unwrap();
        let (mut get, mut here) = begun(&client, &server.url("f"), mode, streams).await;
        std::fs::File::options().write(true).open(&path).unwrap().set_len(SIZE as u64 / 2).unwrap();
        let error = rest(&mut get, &mut here).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{case}, shrunk: {error:?}");
        drop(get);

        // Longer: what is taken for all of it must be what was announced.
        std::fs::write(&path, &contents).unwrap();
        let (mut get, mut here) = begun(&client, &server.url("f"), mode, streams).await;
        let mut longer = contents.clone();
        longer.extend_from_slice(&contents[..1_000_000]);
        std::fs::write(&path, &longer).unwrap();
        match rest(&mut get, &mut here).await {
            Ok(()) => assert!(here == contents, "{case}: grown"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Truncated, "{case}, grown: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_goes_away_while_it_is_stored_is_no_success() {
    let server = Server::anonymous().start();
    let client = anonymous();
    let path = server.dir().join("f");
    for (mode, streams) in WAYS {
        let mut put = client.put(server.url("f")).mode(mode).parallelism(streams).await.unwrap();
        put.write(Bytes::from(random_bytes(2, 1_000_000))).await.unwrap();
        eventually("something is there", || path.metadata().is_ok_and(|file| file.len() > 0)).await;
        std::fs::remove_file(&path).unwrap();
        // The server has it open, and says 226.
        let error = put.finish().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase()),
            (ErrorKind::NotFound, Phase::Verify),
            "{mode:?}: {error:?}"
        );
        assert!(error.may_have_applied());
    }
}

/// A folder that everybody may use, on a server whose sessions are no superuser's.
fn open_server() -> Server {
    let server = unprivileged(Server::anonymous()).start();
    for folder in [server.dir().parent().unwrap(), &server.dir()] {
        mode_of(folder, 0o777);
    }
    server
}

#[tokio::test]
async fn permissions_that_change_while_a_file_is_moved() {
    let server = open_server();
    let contents = random_bytes(3, SIZE);
    let folder = server.dir().join("d");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("f");
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for (mode, streams) in WAYS {
        let case = format!("{mode:?} {streams}");
        std::fs::write(&path, &contents).unwrap();
        mode_of(&folder, 0o777);
        mode_of(&path, 0o644);

        // What is open stays open; the next one is refused.
        let (mut get, mut here) = begun(&client, &server.url(&path), mode, streams).await;
        mode_of(&path, 0);
        rest(&mut get, &mut here).await.unwrap();
        assert!(here == contents, "{case}");
        drop(get);
        let error = client.get(server.url(&path)).mode(mode).parallelism(streams).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{case}: {error:?}");
        let error = client.put(server.url(&path)).mode(mode).parallelism(streams).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{case}: {error:?}");

        // The folder is closed under a put, which ends all the same; a put that is given up then cannot be deleted.
        let new = folder.join("new");
        for finishes in [true, false] {
            let mut put = client.put(server.url(&new)).mode(mode).parallelism(streams).await.unwrap();
            put.write(Bytes::copy_from_slice(&contents[..1_000_000])).await.unwrap();
            eventually("something is there", || new.metadata().is_ok_and(|file| file.len() > 0)).await;
            mode_of(&folder, 0o555);
            if finishes {
                put.finish().await.unwrap();
                assert!(std::fs::read(&new).unwrap() == contents[..1_000_000], "{case}");
            } else {
                drop(put);
                // The session is back when the deletion was tried.
                assert!(client.get(server.url("missing")).await.is_err());
                assert!(new.exists(), "{case}: nobody may delete it");
            }
            mode_of(&folder, 0o777);
            std::fs::remove_file(&new).unwrap();
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn files_that_are_closed_while_a_pipeline_comes_nearer() {
    let server = open_server();
    for n in 0..400 {
        let path = server.dir().join(format!("f{n}"));
        std::fs::write(&path, random_bytes(n, 5000)).unwrap();
        mode_of(&path, 0o644);
    }
    let client = anonymous();
    let mut many = client.get_many((0..400).map(|n| server.url(format!("f{n}")))).await.unwrap();
    let (mut right, mut refused) = (0, 0);
    while let Some(mut file) = many.next_file().await.unwrap() {
        let index = file.index();
        if index == 0 {
            // Far enough ahead that the server has not been asked for them.
            (300..350).for_each(|n| mode_of(&server.dir().join(format!("f{n}")), 0));
        }
        match file.bytes().await {
            Ok(bytes) => {
                assert!(bytes == random_bytes(index as u64, 5000), "file {index}");
                right += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "file {index}: {error:?}");
                assert!((300..350).contains(&index), "file {index}");
                refused += 1;
            }
        }
    }
    assert_eq!((right, refused), (350, 50));
}
