//! Files in blocks of several sizes. The same number of bytes with more blocks is what a block costs; a file without bytes is
//! what everything around them costs.

use bytes::Bytes;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};
use gridftp::options::TransferMode;
use gridftp::{Client, Url};
use gridftp_lab::Server;

use crate::site::Site;

const FILE_BYTES: usize = 16 << 20;
const BLOCKS: [(&str, usize); 4] =
    [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("256 KiB", 256 << 10), ("1 MiB", 1 << 20)];
const WAYS: [(&str, TransferMode, u16); 3] = [
    ("stream", TransferMode::Stream, 1),
    ("extended", TransferMode::ExtendedBlock, 1),
    ("extended, 4 connections", TransferMode::ExtendedBlock, 4),
];

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    // One takes milliseconds, most of them the server's.
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group
}

fn per_block(block: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: (FILE_BYTES / block) as u64, bytes: FILE_BYTES as u64 }
}

/// The blocks are the server's: it reads the file, and in extended block mode sends it, in such ones. Those of more than
/// 256 KiB are handed on in pieces here, and a stream is taken as it comes.
pub(crate) fn gets(criterion: &mut Criterion, site: &Site) {
    let mut group = group(criterion, "get");
    let fetched = async |client: &Client, url: &Url, mode, connections| {
        let mut get = client.get(url).mode(mode).parallelism(connections).await.unwrap();
        let mut bytes = 0;
        while let Some(block) = get.next_block().await.unwrap() {
            bytes += block.data.len();
        }
        bytes
    };
    std::fs::write(site.server.dir().join("empty"), "").unwrap();
    let empty = Url::parse(&site.server.url("empty")).unwrap();
    for (way, mode, connections) in WAYS {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new(way, "an empty file"), |bencher| {
            bencher
                .to_async(&site.runtime)
                .iter(async || fetched(&site.client, &empty, mode, connections).await);
        });
    }
    for (name, block) in BLOCKS {
        let server = Server::anonymous().args(["-blocksize", &block.to_string()]).start();
        std::fs::write(server.dir().join("file"), gridftp_lab::random_bytes(1, FILE_BYTES)).unwrap();
        let url = Url::parse(&server.url("file")).unwrap();
        for (way, mode, connections) in WAYS {
            group.throughput(per_block(block));
            group.bench_function(BenchmarkId::new(way, name), |bencher| {
                bencher.to_async(&site.runtime).iter(async || {
                    assert_eq!(fetched(&site.client, &url, mode, connections).await, FILE_BYTES);
                });
            });
        }
    }
    group.finish();
}

/// The blocks are the caller's. They go nowhere: a disk is not what is measured.
pub(crate) fn puts(criterion: &mut Criterion, site: &Site) {
    let mut group = group(criterion, "put");
    let nowhere = Url::parse(&site.server.url("/dev/null")).unwrap();
    let stored = async |block: &Bytes, blocks: usize, mode, connections| {
        let put = site.client.put(&nowhere).mode(mode).parallelism(connections).check_size(false);
        let mut put = put.await.unwrap();
        for _ in 0..blocks {
            put.write(block.clone()).await.unwrap();
        }
        put.finish().await.unwrap().bytes
    };
    let none = Bytes::new();
    for (way, mode, connections) in WAYS {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new(way, "an empty file"), |bencher| {
            bencher.to_async(&site.runtime).iter(async || stored(&none, 0, mode, connections).await);
        });
    }
    for (name, size) in BLOCKS {
        let block = Bytes::from(gridftp_lab::random_bytes(1, size));
        for (way, mode, connections) in WAYS {
            group.throughput(per_block(size));
            group.bench_function(BenchmarkId::new(way, name), |bencher| {
                bencher.to_async(&site.runtime).iter(async || {
                    let bytes = stored(&block, FILE_BYTES / size, mode, connections).await;
                    assert_eq!(bytes, FILE_BYTES as u64);
                });
            });
        }
    }
    group.finish();
}
