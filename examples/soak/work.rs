//! The operations of the mixed load, each compared with what it must give.

use anyhow::{Result, ensure};
use gridftp::options::TransferMode;
use gridftp::{ChecksumAlgorithm, Client, ErrorKind};
use tokio::io::AsyncWriteExt as _;

use crate::contents::{Random, contents, hash};
use crate::site::{Site, Stored};
use crate::tally::Tally;

/// Files that stay at the servers until the end; older ones are fetched back, compared and removed.
const KEPT: usize = 150;

/// Largest file that is put.
const LARGEST: u64 = 4_000_000;

/// What is done, by a name for the figures.
pub(crate) const KINDS: [&str; 14] = [
    "get", "get", "get", "put", "put", "put", "range", "list", "walk", "stat", "many", "third", "thirds",
    "tree",
];

/// What every operation needs.
pub(crate) struct Work<'a> {
    pub(crate) site: &'a Site,
    pub(crate) client: &'a Client,
    pub(crate) tally: &'a Tally,
    pub(crate) place: usize,
    /// A number that no other operation has.
    pub(crate) number: u64,
}

impl Work<'_> {
    /// Does it.
    pub(crate) async fn run(&self, kind: &'static str, mut random: Random) -> Result<()> {
        match kind {
            "get" => self.get(&mut random).await?,
            "range" => self.range(&mut random).await?,
            "put" => self.put(&mut random).await?,
            "list" => {
                let mut list = self.client.list(self.site.source(self.place, ""));
                let mut count = 0;
                while list.next_entry().await?.is_some() {
                    count += 1;
                }
                ensure!(count == self.site.sources.len(), "listed {count} files");
            }
            "walk" => {
                let mut walk = self.client.walk(self.site.source(self.place, ""));
                let mut count = 0;
                while walk.next_entry().await?.is_some() {
                    count += 1;
                }
                ensure!(count == self.site.sources.len(), "walked over {count} files");
            }
            "stat" => self.stat(&mut random).await?,
            "many" => self.many(&mut random).await?,
            "third" | "thirds" => self.between_servers(kind, &mut random).await?,
            _ => self.tree().await?,
        }
        self.tally.done(kind);
        Ok(())
    }

    /// Fetches the oldest file back and removes it, if there are many. Not to be dropped: it takes the file's account over.
    pub(crate) async fn tidy(&self) -> Result<()> {
        match self.site.take(KEPT) {
            Some(stored) => self.fetch_back(stored).await,
            None => Ok(()),
        }
    }

    fn mode(&self, random: &mut Random) -> (TransferMode, u16) {
        match random.below(3) {
            0 => (TransferMode::Stream, 1),
            1 => (TransferMode::ExtendedBlock, 1),
            _ => (TransferMode::ExtendedBlock, 4),
        }
    }

    fn is_striped(&self, mode: TransferMode) -> bool {
        self.site.places[self.place].striped && mode == TransferMode::ExtendedBlock
    }

    async fn get(&self, random: &mut Random) -> Result<()> {
        let source = &self.site.sources[pick(random, self.site.sources.len())];
        let (mode, streams) = self.mode(random);
        let get = self.client.get(self.site.source(self.place, &source.name)).mode(mode).parallelism(streams);
        let bytes = get.striped(self.is_striped(mode)).await?.bytes().await?;
        self.compare(&source.name, &bytes, &source.hash)
    }

    async fn range(&self, random: &mut Random) -> Result<()> {
        let source = &self.site.sources[pick(random, self.site.sources.len())];
        let begin = random.below(source.size as u64);
        let end = begin + random.below(source.size as u64 - begin + 1);
        let get = self.client.get(self.site.source(self.place, &source.name)).range(begin..end);
        let bytes = get.await?.bytes().await?;
        ensure!(bytes.len() as u64 == end - begin, "{} bytes of {begin}..{end}", bytes.len());
        self.tally.bytes(bytes.len());
        Ok(())
    }

    async fn put(&self, random: &mut Random) -> Result<()> {
        let size =
            usize::try_from(if random.one_in(3) { random.below(5000) } else { random.below(LARGEST) })?;
        let bytes = contents(self.number, size);
        let name = format!("put-{}", self.number);
        let (mode, streams) = self.mode(random);
        let put = self.client.put(self.site.own(self.place, &name)).mode(mode).parallelism(streams);
        let mut put = put.striped(self.is_striped(mode)).await?;
        if random.one_in(3) {
            let mut writer = put.into_writer();
            writer.write_all(&bytes).await?;
            writer.shutdown().await?;
        } else {
            let piece = 1 + usize::try_from(random.below(1_000_000))?;
            for at in (0..size).step_by(piece) {
                put.write(bytes.slice(at..size.min(at + piece))).await?;
            }
            put.finish().await?;
        }
        self.tally.bytes(size);
        self.site.store(Stored::new(self.place, name, hash(&bytes)));
        Ok(())
    }

    async fn stat(&self, random: &mut Random) -> Result<()> {
        let source = &self.site.sources[pick(random, self.site.sources.len())];
        let url = self.site.source(self.place, &source.name);
        let size = Some(source.size as u64);
        ensure!(self.client.stat(&url).await?.size() == size, "stat tells another size");
        ensure!(
            !self.client.exists(self.site.source(self.place, "nothing")).await?,
            "a file that is not there"
        );
        if random.one_in(8) {
            let sum = self.client.checksum(&url, ChecksumAlgorithm::Sha256, ..).await?;
            ensure!(sum.to_hex() == source.hash, "the server tells another checksum");
        }
        Ok(())
    }

    async fn many(&self, random: &mut Random) -> Result<()> {
        let first = pick(random, self.site.sources.len());
        let sources: Vec<_> = self.site.sources.iter().skip(first).take(10).collect();
        let urls = sources.iter().map(|source| self.site.source(self.place, &source.name));
        let mut many = self.client.get_many(urls).await?;
        let mut count = 0;
        while let Some(mut file) = many.next_file().await? {
            let source = sources[file.index()];
            self.compare(&source.name, &file.bytes().await?, &source.hash)?;
            count += 1;
        }
        ensure!(count == sources.len(), "{count} of {} files came", sources.len());
        Ok(())
    }

    /// From this place to the first one, which is calm.
    async fn between_servers(&self, kind: &str, random: &mut Random) -> Result<()> {
        let count = if kind == "third" { 1 } else { 5 };
        let sources: Vec<_> =
            (0..count).map(|_| &self.site.sources[pick(random, self.site.sources.len())]).collect();
        let names: Vec<_> = (0..count).map(|n| format!("third-{}-{n}", self.number)).collect();
        let pair = |n: usize| (self.site.source(self.place, &sources[n].name), self.site.own(0, &names[n]));
        let stored = |n: usize| {
            self.tally.bytes(sources[n].size);
            self.site.store(Stored::new(0, names[n].clone(), sources[n].hash.clone()));
        };
        if count == 1 {
            let ((from, to), (mode, streams)) = (pair(0), self.mode(random));
            self.client.third_party(from, to).mode(mode).parallelism(streams).await?.join().await?;
            stored(0);
            return Ok(());
        }
        let mut many = self.client.third_party_many((0..count).map(pair)).await?;
        let mut failed = None;
        while let Some(outcome) = many.next_outcome().await {
            match outcome.result {
                Ok(_) => stored(outcome.index),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Makes a tree, puts a file into it, and removes it all.
    async fn tree(&self) -> Result<()> {
        let root = self.site.own(self.place, &format!("tree-{}", self.number));
        self.client.create_dir_all(format!("{root}/a/b")).await?;
        let mut put = self.client.put(format!("{root}/a/f")).await?;
        put.write(contents(self.number, 10_000)).await?;
        put.finish().await?;
        let report = self.client.remove_dir_all(&root).await?;
        if !report.is_complete() && !self.site.places[self.place].calm {
            self.tally.error("NotRemoved".to_owned());
            return Ok(());
        }
        ensure!(report.is_complete() && report.removed_files() == 1, "{report:?}");
        Ok(())
    }

    async fn fetch_back(&self, mut stored: Stored) -> Result<()> {
        let url = self.site.own(stored.place, &stored.name);
        let result = async {
            let bytes = self.client.get(&url).await?.bytes().await?;
            self.compare(&stored.name, &bytes, &stored.hash)?;
            stored.leaves = true;
            Ok(self.client.remove_file(&url).await?)
        };
        let result: Result<()> = result.await;
        let error = match result {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let kind = error.downcast_ref::<gridftp::Error>().map(gridftp::Error::kind);
        if kind == Some(ErrorKind::NotFound) {
            // Unless its removal was asked for, and the answer was lost.
            if !stored.leaves {
                self.tally.wrong(format!("{url} was confirmed, and is gone"));
            }
            return Ok(());
        }
        self.site.store(stored);
        Err(error)
    }

    fn compare(&self, name: &str, bytes: &[u8], wanted: &str) -> Result<()> {
        if hash(bytes) == wanted {
            self.tally.verified();
            self.tally.bytes(bytes.len());
        } else {
            self.tally.wrong(format!("{name}: {} bytes that are not those of the file", bytes.len()));
        }
        Ok(())
    }
}

fn pick(random: &mut Random, count: usize) -> usize {
    usize::try_from(random.below(count as u64)).unwrap_or(0)
}
