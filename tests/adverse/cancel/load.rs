//! A mixed load: every operation of the public interface, on names of its own, so that one that is left in peace must end
//! well whatever is done to the others.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{ChecksumAlgorithm, Client, ClientBuilder, Credential, ListFormat};
use gridftp_lab::{Pki, Random, Server, random_bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Stat,
    Facts,
    Attributes,
    Rename,
    CreateDirAll,
    RemoveDirAll,
    List,
    ListRaw,
    Walk,
    Checksum,
    GetStream,
    GetExtended,
    GetParallel,
    GetStriped,
    GetAbort,
    Reader,
    PutStream,
    PutExtended,
    PutParallel,
    PutStriped,
    PutAbort,
    Writer,
    GetMany,
    ThirdParty,
    ThirdPartyMany,
    Login,
}

/// How often each kind comes. A drop that costs a session has the server start a process, and costs ten of the others: there
/// are hundreds of drops of each of those kinds in a hundred thousand, and no more.
pub(super) const MIX: [(Kind, u64); 26] = [
    (Kind::Stat, 170),
    (Kind::Facts, 110),
    (Kind::Attributes, 40),
    (Kind::Rename, 14),
    (Kind::CreateDirAll, 10),
    (Kind::RemoveDirAll, 1),
    (Kind::List, 4),
    (Kind::ListRaw, 3),
    (Kind::Walk, 1),
    (Kind::Checksum, 1),
    (Kind::GetStream, 5),
    (Kind::GetExtended, 3),
    (Kind::GetParallel, 2),
    (Kind::GetStriped, 1),
    (Kind::GetAbort, 1),
    (Kind::Reader, 2),
    (Kind::PutStream, 5),
    (Kind::PutExtended, 2),
    (Kind::PutParallel, 1),
    (Kind::PutStriped, 1),
    (Kind::PutAbort, 1),
    (Kind::Writer, 2),
    (Kind::GetMany, 1),
    (Kind::ThirdParty, 2),
    (Kind::ThirdPartyMany, 2),
    (Kind::Login, 1),
];

pub(super) fn any(random: &mut Random) -> Kind {
    let mut place = random.below(MIX.iter().map(|(_, weight)| weight).sum());
    for (kind, weight) in MIX {
        if place < weight {
            return kind;
        }
        place -= weight;
    }
    Kind::Stat
}

pub(super) type Work = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

const SMALL: usize = 20;
const BIG: usize = 800_000;
const FOLDERS: usize = 4;

/// Servers with files that the operations find, and may be compared with.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) first: Server,
    pub(super) second: Server,
    striped: Option<Server>,
    credential: Option<Credential>,
    contents: Bytes,
    next: AtomicU64,
}

impl Site {
    pub(super) fn anonymous() -> Arc<Self> {
        // As in production: no line for each connection.
        let anonymous = || Server::anonymous().log_level("ERROR");
        let striped = anonymous().striped(2).start();
        Self::over(anonymous().start(), anonymous().start(), Some(striped), None)
    }

    pub(super) fn gsi(pki: &Pki) -> Arc<Self> {
        let credential = Credential::from_proxy_file(pki.proxy());
        Self::over(Server::gsi(pki).start(), Server::gsi(pki).start(), None, Some(credential))
    }

    fn over(
        first: Server,
        second: Server,
        striped: Option<Server>,
        credential: Option<Credential>,
    ) -> Arc<Self> {
        let contents = Bytes::from(random_bytes(1, BIG));
        for server in [&first, &second].into_iter().chain(&striped) {
            let folder = server.dir();
            std::fs::write(folder.join("big"), &contents).unwrap();
            for n in 0..SMALL {
                std::fs::write(folder.join(format!("small{n}")), small(&contents, n)).unwrap();
            }
            for n in 0..FOLDERS {
                let below = folder.join(format!("tree/f{n}/deeper"));
                std::fs::create_dir_all(&below).unwrap();
                std::fs::write(below.join("leaf"), "leaf").unwrap();
            }
        }
        Arc::new(Self { first, second, striped, credential, contents, next: AtomicU64::new(0) })
    }

    /// A client that may log in.
    pub(super) fn client(&self, builder: ClientBuilder) -> Client {
        let builder = match &self.credential {
            Some(credential) => builder.credential(credential.clone()),
            None => builder,
        };
        builder.build().unwrap()
    }

    /// Processes of the servers beyond those that listen: each is a connection.
    pub(super) fn connections(&self) -> usize {
        self.servers().map(|server| server.processes().len() - 1).sum()
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &Server> {
        [&self.first, &self.second].into_iter().chain(&self.striped)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// One operation, with what it gets compared with what it must get.
    pub(super) fn work(self: &Arc<Self>, client: &Client, kind: Kind, random: &mut Random) -> Work {
        let (site, client, random) = (Arc::clone(self), client.clone(), Random::new(random.next()));
        Box::pin(async move { site.run(&client, kind, random).await.with_context(|| format!("{kind:?}")) })
    }

    async fn run(&self, client: &Client, kind: Kind, mut random: Random) -> Result<()> {
        let server = if random.one_in(4) { &self.second } else { &self.first };
        match kind {
            Kind::Stat | Kind::Login => {
                let entry = client.stat(server.url("big")).await?;
                ensure!(entry.size() == Some(BIG as u64));
            }
            Kind::Facts => {
                let url = server.url("big");
                ensure!(client.size(&url).await? == BIG as u64);
                ensure!(client.exists(&url).await?);
                ensure!(!client.exists(server.url("nothing")).await?);
                client.modified(&url).await?;
                ensure!(client.features(&url).await?.mlst());
            }
            Kind::Attributes => {
                let url = server.url(format!("small{}", random.below(SMALL as u64)));
                client.chmod(&url, 0o644).await?;
                client.set_modified(&url, std::time::UNIX_EPOCH + Duration::from_secs(86_400)).await?;
            }
            Kind::Rename => {
                let (from, to) = (format!("own-{}", self.number()), format!("own-{}", self.number()));
                std::fs::write(server.dir().join(&from), "own")?;
                client.rename(server.url(&from), server.url(&to)).await?;
                client.remove_file(server.url(&to)).await?;
            }
            Kind::CreateDirAll => {
                let folder = format!("own-{}", self.number());
                client.create_dir_all(server.url(format!("{folder}/a/b"))).await?;
                client.remove_dir(server.url(format!("{folder}/a/b"))).await?;
            }
            Kind::RemoveDirAll => {
                let folder = format!("own-{}", self.number());
                for n in 0..3 {
                    std::fs::create_dir_all(server.dir().join(format!("{folder}/{n}")))?;
                    std::fs::write(server.dir().join(format!("{folder}/{n}/f")), "f")?;
                }
                let report = client.remove_dir_all(server.url(&folder)).await?;
                ensure!(report.is_complete() && report.removed_files() == 3, "{report:?}");
            }
            Kind::List | Kind::ListRaw | Kind::Walk => self.list(client, server, kind, random).await?,
            Kind::Checksum => {
                let sum = client.checksum(server.url("big"), ChecksumAlgorithm::Adler32, ..).await?;
                ensure!(!sum.to_hex().is_empty());
            }
            Kind::GetStream
            | Kind::GetExtended
            | Kind::GetParallel
            | Kind::GetStriped
            | Kind::GetAbort
            | Kind::Reader => self.get(client, server, kind, random).await?,
            Kind::PutStream
            | Kind::PutExtended
            | Kind::PutParallel
            | Kind::PutStriped
            | Kind::PutAbort
            | Kind::Writer => self.put(client, server, kind, random).await?,
            Kind::GetMany => {
                let urls = (0..SMALL).map(|n| server.url(format!("small{n}")));
                let mut many = client.get_many(urls).await?;
                while let Some(mut file) = many.next_file().await? {
                    let index = file.index();
                    if !random.one_in(4) {
                        ensure!(file.bytes().await? == small(&self.contents, index), "small{index} differs");
                    }
                }
            }
            Kind::ThirdParty => {
                let to = self.second.url(format!("whole-{}", self.number()));
                let mode = if random.one_in(2) { TransferMode::Stream } else { TransferMode::ExtendedBlock };
                let mut transfer = client.third_party(self.first.url("big"), &to).mode(mode).await?;
                if random.one_in(2) {
                    transfer.next_marker().await;
                }
                let summary = transfer.join().await?;
                ensure!(summary.size.is_none_or(|size| size == BIG as u64));
            }
            Kind::ThirdPartyMany => {
                let number = self.number();
                let pair = |n| {
                    let to = self.second.url(format!("small-{number}-{n}"));
                    (self.first.url(format!("small{n}")), to)
                };
                let mut many = client.third_party_many((0..5).map(pair)).await?;
                while let Some(outcome) = many.next_outcome().await {
                    outcome.result?;
                }
            }
        }
        Ok(())
    }

    async fn list(&self, client: &Client, server: &Server, kind: Kind, mut random: Random) -> Result<()> {
        let tree = server.url("tree");
        match kind {
            Kind::List => {
                let mut list = client.list(&tree);
                let mut count = 0;
                while list.next_entry().await?.is_some() {
                    count += 1;
                }
                ensure!(count == FOLDERS, "{count} entries");
            }
            Kind::ListRaw => {
                let text = client.list_raw(&tree, ListFormat::Names).await?;
                ensure!(text.windows(2).filter(|pair| pair == b"\r\n").count() >= FOLDERS, "{text:?}");
            }
            _ => {
                let mode = if random.one_in(2) { TransferMode::Stream } else { TransferMode::Auto };
                let mut walk = client.walk(&tree).mode(mode);
                let mut count = 0;
                while walk.next_entry().await?.is_some() {
                    count += 1;
                }
                ensure!(count == FOLDERS * 3, "{count} entries");
            }
        }
        Ok(())
    }

    async fn get(&self, client: &Client, server: &Server, kind: Kind, mut random: Random) -> Result<()> {
        let striped = self.striped.as_ref().filter(|_| kind == Kind::GetStriped);
        let get = client.get(striped.unwrap_or(server).url("big"));
        let get = match kind {
            Kind::GetExtended => get.mode(TransferMode::ExtendedBlock),
            Kind::GetParallel => get.parallelism(4),
            Kind::GetStriped => get.striped(striped.is_some()).mode(TransferMode::ExtendedBlock),
            _ if random.one_in(2) => get.mode(TransferMode::Stream),
            _ => get,
        };
        let mut get = get.await?;
        if kind == Kind::Reader {
            let mut got = Vec::new();
            get.into_reader().read_to_end(&mut got).await?;
            ensure!(self.contents == got, "the contents differ");
            return Ok(());
        }
        let mut bytes = 0;
        let mut stop = if kind == Kind::GetAbort { random.below(5) } else { u64::MAX };
        while let Some(block) = get.next_block().await? {
            let at = usize::try_from(block.offset)?;
            ensure!(self.contents.get(at..at + block.data.len()) == Some(&block.data[..]), "at {at}");
            bytes += block.data.len();
            if stop == 0 {
                get.abort().await?;
                return Ok(());
            }
            stop -= 1;
            if random.one_in(16) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        ensure!(bytes == BIG, "{bytes} bytes");
        Ok(())
    }

    async fn put(&self, client: &Client, server: &Server, kind: Kind, mut random: Random) -> Result<()> {
        let striped = self.striped.as_ref().filter(|_| kind == Kind::PutStriped);
        let server = striped.unwrap_or(server);
        let size = [0, 1, 70_000, 400_000][usize::try_from(random.below(4))?];
        let what = if kind == Kind::PutAbort { "own" } else { "put" };
        let name = format!("{what}-{}-{size}", self.number());
        let put = client.put(server.url(&name));
        let put = match kind {
            Kind::PutExtended => put.mode(TransferMode::ExtendedBlock),
            Kind::PutParallel => put.parallelism(4),
            Kind::PutStriped => put.striped(striped.is_some()).mode(TransferMode::ExtendedBlock),
            _ => put,
        };
        let mut put = put.await?;
        let contents = self.contents.slice(..size);
        if kind == Kind::Writer {
            let mut writer = put.into_writer();
            writer.write_all(&contents).await?;
            writer.shutdown().await?;
        } else {
            let piece = [1000, 100_000, 1_000_000][usize::try_from(random.below(3))?];
            for at in (0..size).step_by(piece) {
                put.write(contents.slice(at..size.min(at + piece))).await?;
                if random.one_in(64) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                if kind == Kind::PutAbort {
                    break;
                }
            }
            if kind == Kind::PutAbort {
                put.abort().await?;
                return Ok(());
            }
            ensure!(put.finish().await?.bytes == size as u64);
        }
        ensure!(std::fs::read(server.dir().join(&name))? == contents, "{name} differs");
        client.remove_file(server.url(&name)).await?;
        Ok(())
    }

    /// Files under the names of transfers that are not whole, and files that nobody asked for.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for server in self.servers() {
            for entry in std::fs::read_dir(server.dir()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if !self.is_right(&name, &path) {
                    found.push(format!("{name} ({} bytes)", std::fs::metadata(&path).map_or(0, |m| m.len())));
                }
            }
        }
        found
    }

    fn is_right(&self, name: &str, path: &Path) -> bool {
        let words: Vec<_> = name.split('-').collect();
        let whole = match words[..] {
            ["big"] | ["whole", _] => &self.contents[..],
            ["put", _, size] => &self.contents[..size.parse().unwrap()],
            ["small", _, n] => small(&self.contents, n.parse().unwrap()),
            ["own", ..] | ["tree"] => return true,
            _ => match name.strip_prefix("small").and_then(|n| n.parse().ok()) {
                Some(n) => small(&self.contents, n),
                None => return false,
            },
        };
        // One that has just gone is as good.
        std::fs::read(path).is_ok_and(|found| found == whole) || !path.exists()
    }
}

fn small(contents: &Bytes, n: usize) -> &[u8] {
    &contents[n * 1000..n * 1000 + 5000]
}
