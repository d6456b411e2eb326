//! Every operation of a client, each as a function that ends.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gridftp::options::TransferMode;
use gridftp::{Bytes, ChecksumAlgorithm, Client, ListFormat, Result};
use gridftp_lab::hostile::{Hostile, Play};

/// Which of an operation's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Second,
}

/// The servers of one operation.
pub(super) struct Servers {
    servers: Vec<Hostile>,
    nowhere: String,
}

impl Servers {
    pub(super) fn start(first: Play, second: Play) -> Self {
        Self { servers: vec![Hostile::start(first), Hostile::start(second)], nowhere: String::new() }
    }

    /// There is none: all URLs begin with this.
    pub(super) fn nowhere(base: &str) -> Self {
        Self { servers: Vec::new(), nowhere: base.to_owned() }
    }

    pub(super) fn at(&self, place: Place) -> &Hostile {
        &self.servers[usize::from(place == Place::Second)]
    }

    fn url(&self, path: &str) -> String {
        self.servers.first().map_or_else(|| format!("{}{path}", self.nowhere), |server| server.url(path))
    }

    fn other(&self, path: &str) -> String {
        self.servers.get(1).map_or_else(|| format!("{}{path}", self.nowhere), |server| server.url(path))
    }
}

type Run = for<'a> fn(Client, &'a Servers) -> BoxFuture<'a, Result<()>>;

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) run: Run,
    pub(super) moves_data: bool,
    /// Some byte in the middle of what it moves.
    pub(super) middle: u64,
    /// Commands whose replies it does not wait for.
    pub(super) unheard: &'static [&'static str],
    two: bool,
}

impl Operation {
    pub(super) fn places(&self) -> &'static [Place] {
        if self.two { &[Place::First, Place::Second] } else { &[Place::First] }
    }
}

/// A verb that lives for ever, as the play wants it; few are ever made.
pub(super) fn for_ever(verb: &str) -> &'static str {
    const KNOWN: [&str; 40] = [
        "USER", "PASS", "FEAT", "TYPE", "MODE", "OPTS", "PASV", "EPSV", "PORT", "EPRT", "SPAS", "SPOR",
        "REST", "RETR", "ERET", "STOR", "APPE", "ESTO", "ALLO", "MLST", "MLSD", "LIST", "NLST", "STAT",
        "SIZE", "MDTM", "MFMT", "CKSM", "DELE", "MKD", "RMD", "RNFR", "RNTO", "SITE", "NOOP", "CWD", "PWD",
        "SBUF", "CDUP", "MLSR",
    ];
    KNOWN.into_iter().find(|known| *known == verb).unwrap_or_else(|| panic!("{verb} is missing in the list"))
}

const fn plain(name: &'static str, run: Run) -> Operation {
    Operation { name, run, moves_data: false, middle: 0, unheard: &["SITE"], two: false }
}

const fn moving(name: &'static str, middle: u64, run: Run) -> Operation {
    Operation { name, run, moves_data: true, middle, unheard: &["SITE"], two: false }
}

const fn between(name: &'static str, middle: u64, run: Run) -> Operation {
    Operation { name, run, moves_data: true, middle, unheard: &["SITE"], two: true }
}

const MIDDLE: u64 = 800_000;

/// All of them.
pub(super) static OPERATIONS: &[Operation] = &[
    plain("size", |client, at| async move { client.size(at.url("/f")).await.map(drop) }.boxed()),
    plain("exists", |client, at| async move { client.exists(at.url("/f")).await.map(drop) }.boxed()),
    plain("stat", |client, at| async move { client.stat(at.url("/f")).await.map(drop) }.boxed()),
    plain("modified", |client, at| async move { client.modified(at.url("/f")).await.map(drop) }.boxed()),
    plain("features", |client, at| async move { client.features(at.url("/f")).await.map(drop) }.boxed()),
    plain("status", |client, at| async move { client.status(at.url("/f")).await.map(drop) }.boxed()),
    plain("checksum", |client, at| {
        async move { client.checksum(at.url("/f"), ChecksumAlgorithm::Adler32, ..).await.map(drop) }.boxed()
    }),
    plain("canonical_dir", |client, at| {
        async move { client.canonical_dir(at.url("/d/")).await.map(drop) }.boxed()
    }),
    plain("create_dir", |client, at| async move { client.create_dir(at.url("/new")).await }.boxed()),
    plain("create_dir_all", |client, at| {
        async move { client.create_dir_all(at.url("/new/a/b")).await }.boxed()
    }),
    plain("remove_dir", |client, at| async move { client.remove_dir(at.url("/empty")).await }.boxed()),
    plain("remove_file", |client, at| async move { client.remove_file(at.url("/small")).await }.boxed()),
    plain("rename", |client, at| async move { client.rename(at.url("/small"), at.url("/s")).await }.boxed()),
    // SITE is the operation itself for these.
    Operation {
        unheard: &[],
        ..plain("chmod", |client, at| async move { client.chmod(at.url("/small"), 0o600).await }.boxed())
    },
    Operation {
        unheard: &[],
        ..plain("chgrp", |client, at| async move { client.chgrp(at.url("/small"), "users").await }.boxed())
    },
    Operation {
        unheard: &[],
        ..plain("symlink", |client, at| async move { client.symlink("/f", at.url("/link")).await }.boxed())
    },
    plain("set_modified", |client, at| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        async move { client.set_modified(at.url("/small"), time).await }.boxed()
    }),
    moving("list", 20, |client, at| {
        async move {
            let mut entries = client.list(at.url("/d/"));
            while entries.next_entry().await?.is_some() {}
            Ok(())
        }
        .boxed()
    }),
    moving("list in extended block mode", 20, |client, at| {
        async move {
            let mut entries = client.list(at.url("/d/")).mode(TransferMode::ExtendedBlock);
            while entries.next_entry().await?.is_some() {}
            Ok(())
        }
        .boxed()
    }),
    moving("list_raw NLST", 1, |client, at| {
        async move { client.list_raw(at.url("/d/"), ListFormat::Names).await.map(drop) }.boxed()
    }),
    moving("list_raw LIST", 20, |client, at| {
        async move { client.list_raw(at.url("/d/"), ListFormat::Verbose).await.map(drop) }.boxed()
    }),
    moving("list_raw MLSD", 20, |client, at| {
        async move { client.list_raw(at.url("/d/"), ListFormat::Machine).await.map(drop) }.boxed()
    }),
    moving("walk", 20, |client, at| async move { walk(client.walk(at.url("/d/"))).await }.boxed()),
    moving("walk in stream mode", 20, |client, at| {
        async move { walk(client.walk(at.url("/d/")).mode(TransferMode::Stream)).await }.boxed()
    }),
    moving("remove_dir_all", 20, |client, at| {
        async move {
            let report = client.remove_dir_all(at.url("/d/e/")).await?;
            report.not_removed().first().map_or(Ok(()), |failed| Err(failed.error().clone()))
        }
        .boxed()
    }),
    moving("get", MIDDLE, |client, at| {
        async move { client.get(at.url("/f")).await?.bytes().await.map(drop) }.boxed()
    }),
    moving("get in extended block mode", MIDDLE, |client, at| {
        let get = client.get(at.url("/f")).mode(TransferMode::ExtendedBlock);
        async move { get.await?.bytes().await.map(drop) }.boxed()
    }),
    moving("get over 3 connections", MIDDLE, |client, at| {
        async move { client.get(at.url("/f")).parallelism(3).await?.bytes().await.map(drop) }.boxed()
    }),
    moving("get of a range", 500_000, |client, at| {
        async move { client.get(at.url("/f")).range(1000..1_400_000).await?.bytes().await.map(drop) }.boxed()
    }),
    moving("get of a small file", 500, |client, at| {
        async move { client.get(at.url("/small")).await?.bytes().await.map(drop) }.boxed()
    }),
    moving("get as a reader", MIDDLE, |client, at| {
        async move {
            let mut reader = client.get(at.url("/f")).await?.into_reader();
            let copied = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            copied.map(drop).map_err(unwrapped)
        }
        .boxed()
    }),
    moving("put", MIDDLE, |client, at| async move { put(client.put(at.url("/new"))).await }.boxed()),
    moving("put in extended block mode", MIDDLE, |client, at| {
        async move { put(client.put(at.url("/new")).mode(TransferMode::ExtendedBlock)).await }.boxed()
    }),
    moving("put over 3 connections", MIDDLE, |client, at| {
        async move { put(client.put(at.url("/new")).parallelism(3)).await }.boxed()
    }),
    moving("put that appends", MIDDLE, |client, at| {
        async move { put(client.put(at.url("/small")).append(true)).await }.boxed()
    }),
    moving("put at an offset", MIDDLE, |client, at| {
        async move { put(client.put(at.url("/small")).offset(100)).await }.boxed()
    }),
    moving("get_many", 500, |client, at| {
        async move {
            let mut many = client.get_many([at.url("/small"), at.url("/f"), at.url("/d/g")]).await?;
            while let Some(mut file) = many.next_file().await? {
                file.bytes().await?;
            }
            Ok(())
        }
        .boxed()
    }),
    between("third_party", MIDDLE, |client, at| {
        async move { client.third_party(at.url("/f"), at.other("/new")).await?.join().await.map(drop) }
            .boxed()
    }),
    between("third_party in stream mode", MIDDLE, |client, at| {
        let third_party = client.third_party(at.url("/f"), at.other("/new")).mode(TransferMode::Stream);
        async move { third_party.await?.join().await.map(drop) }.boxed()
    }),
    between("third_party_many", 500, |client, at| {
        async move {
            let pairs = [(at.url("/small"), at.other("/n1")), (at.url("/d/g"), at.other("/n2"))];
            let mut many = client.third_party_many(pairs).await?;
            while let Some(outcome) = many.next_outcome().await {
                outcome.result?;
            }
            Ok(())
        }
        .boxed()
    }),
];

async fn walk(mut walk: gridftp::WalkStream) -> Result<()> {
    while walk.next_entry().await?.is_some() {}
    Ok(())
}

async fn put(builder: gridftp::PutBuilder) -> Result<()> {
    let mut put = builder.await?;
    put.write(Bytes::from(vec![7; 4 * super::FILE])).await?;
    put.finish().await.map(drop)
}

/// The library's own error in one of `std::io`.
fn unwrapped(error: std::io::Error) -> gridftp::Error {
    error.into_inner().unwrap().downcast_ref::<gridftp::Error>().unwrap().clone()
}
