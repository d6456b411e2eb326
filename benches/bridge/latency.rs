//! Commands without data, from the call to the answer, on sessions that are there: by itself, which is a latency, and with
//! others, which is a cost.

use criterion::{Criterion, Throughput};
use futures_util::future::join_all;
use gridftp::Url;

use crate::site::Site;

const AT_ONCE: usize = 64;

pub(crate) fn bench(criterion: &mut Criterion, site: &Site) {
    std::fs::write(site.server.dir().join("file"), "contents").unwrap();
    let Site { runtime, client, .. } = site;
    for (scheme, url) in [("ftp", site.server.url("file")), ("gsiftp", site.gsi_url.clone())] {
        let url = Url::parse(&url).unwrap();
        let mut group = criterion.benchmark_group(format!("latency {scheme}"));

        group.throughput(Throughput::Elements(1));
        // Also logs in.
        assert_eq!(runtime.block_on(client.size(&url)).unwrap(), 8);
        group.bench_function("SIZE, one", |bencher| {
            bencher.to_async(runtime).iter(async || client.size(&url).await.unwrap());
        });
        assert_eq!(runtime.block_on(client.stat(&url)).unwrap().size(), Some(8));
        group.bench_function("MLST, one", |bencher| {
            bencher.to_async(runtime).iter(async || client.stat(&url).await.unwrap());
        });

        group.throughput(Throughput::Elements(AT_ONCE as u64));
        let sizes = async || {
            let sizes = join_all((0..AT_ONCE).map(|_| client.size(&url))).await;
            assert!(sizes.iter().all(Result::is_ok));
        };
        group.bench_function(format!("SIZE, {AT_ONCE} at once"), |bencher| {
            bencher.to_async(runtime).iter(sizes);
        });
        let facts = async || {
            let facts = join_all((0..AT_ONCE).map(|_| client.stat(&url))).await;
            assert!(facts.iter().all(Result::is_ok));
        };
        group.bench_function(format!("MLST, {AT_ONCE} at once"), |bencher| {
            bencher.to_async(runtime).iter(facts);
        });
        group.finish();
    }
}
