//! Sets of ranges, and the markers that tell them: of long transfers over many connections there are thousands in one line.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use gridftp::bench::{marker, reply};
use gridftp::{RangeSet, RestartMarker};

const RANGES: u64 = 1000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ranges");
    group.throughput(Throughput::Elements(RANGES));
    // Another order each time is not wanted: 7 has no divisor in common with the number.
    let scattered: Vec<u64> = (0..RANGES).map(|n| n * 7 % RANGES).collect();
    group.bench_function("insert, growing one range", |bencher| {
        bencher.iter(|| (0..RANGES).map(|n| n * 10..n * 10 + 10).collect::<RangeSet>());
    });
    group.bench_function("insert, apart and in order", |bencher| {
        bencher.iter(|| (0..RANGES).map(|n| n * 10..n * 10 + 5).collect::<RangeSet>());
    });
    group.bench_function("insert, apart and scattered", |bencher| {
        bencher.iter(|| scattered.iter().map(|n| n * 10..n * 10 + 5).collect::<RangeSet>());
    });
    group.bench_function("insert, scattered until one", |bencher| {
        bencher.iter(|| scattered.iter().map(|n| n * 10..n * 10 + 10).collect::<RangeSet>());
    });
    let apart: RangeSet = (0..RANGES).map(|n| n * 10..n * 10 + 5).collect();
    assert_eq!(apart.len() as u64, RANGES);
    group.bench_function("complement", |bencher| bencher.iter(|| black_box(&apart).complement(RANGES * 10)));
    group.bench_function("look up", |bencher| {
        bencher.iter(|| scattered.iter().filter(|n| apart.contains(**n * 10)).count());
    });
    group.finish();

    let mut group = criterion.benchmark_group("markers");
    for ranges in [1, 1000] {
        let set: RangeSet = (0..ranges).map(|n| n * 524_288..n * 524_288 + 262_144).collect();
        let line = format!("Range Marker {set}");
        group.throughput(Throughput::ElementsAndBytes { elements: ranges, bytes: line.len() as u64 });
        let told = reply(111, &[&line]);
        assert!(marker(&told).is_some());
        group.bench_function(BenchmarkId::new("ranges (111)", ranges), |bencher| {
            bencher.iter(|| marker(black_box(&told)));
        });
        let text = set.to_string();
        group.throughput(Throughput::ElementsAndBytes { elements: ranges, bytes: text.len() as u64 });
        assert!(text.parse::<RestartMarker>().is_ok());
        group.bench_function(BenchmarkId::new("a user's text", ranges), |bencher| {
            bencher.iter(|| black_box(&text).parse::<RestartMarker>());
        });
        group.bench_function(BenchmarkId::new("to a text", ranges), |bencher| {
            bencher.iter(|| black_box(&set).to_string());
        });
    }
    let lines = [
        "Perf Marker",
        " Timestamp:  1795305600.5",
        " Stripe Index: 0",
        " Stripe Bytes Transferred: 268435456",
        " Total Stripe Count: 1",
        "End",
    ];
    let told = reply(112, &lines);
    assert!(marker(&told).is_some());
    group.throughput(Throughput::Elements(1));
    group.bench_function("performance (112)", |bencher| bencher.iter(|| marker(black_box(&told))));
    group.finish();
}
