//! Entries of folders by MLSD. In a small one the data connection is what costs.

use std::path::Path;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use gridftp::Url;
use gridftp::options::TransferMode;

use crate::site::Site;

pub(crate) fn bench(criterion: &mut Criterion, site: &Site) {
    let mut group = criterion.benchmark_group("MLSD");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    for count in [10, 10_000] {
        let folder = format!("folder-{count}");
        let path = site.server.dir().join(&folder);
        let url = Url::parse(&site.server.url(&folder)).unwrap();
        for (way, mode) in [("stream", TransferMode::Stream), ("extended", TransferMode::ExtendedBlock)] {
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::new(way, count), |bencher| {
                fill(&path, count);
                bencher.to_async(&site.runtime).iter(async || {
                    let mut list = site.client.list(&url).mode(mode);
                    let mut entries = 0;
                    while list.next_entry().await.unwrap().is_some() {
                        entries += 1;
                    }
                    assert_eq!(entries, count);
                });
            });
        }
    }
    group.finish();
}

/// Makes the folder for the first bench that needs it: a run of other ones does not have to wait for it.
fn fill(path: &Path, count: u64) {
    if path.exists() {
        return;
    }
    std::fs::create_dir(path).unwrap();
    for n in 0..count {
        std::fs::write(path.join(format!("part-{n:05}.root")), "").unwrap();
    }
}
