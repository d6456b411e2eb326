//! Blocks in the orders that parallel connections bring them in. The contents are shared and not looked at, so what is
//! measured does not depend on the size of blocks, and is told per block.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use gridftp::RangeSet;
use gridftp::bench::Reorder;

const BLOCKS: u64 = 1024;
/// All of them together are less than the buffer holds.
const BLOCK_BYTES: u64 = 32 * 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reorder");
    group.throughput(Throughput::Elements(BLOCKS));
    let orders: [(&str, Vec<u64>); 5] = [
        ("in order", (0..BLOCKS).collect()),
        ("windows of 16 reversed", reversed(16)),
        ("all reversed", reversed(BLOCKS)),
        ("4 connections, one 64 blocks behind", one_behind(64)),
        ("4 connections, a quarter each", quarters()),
    ];
    let data = Bytes::from(vec![0; usize::try_from(BLOCK_BYTES).unwrap()]);
    for (name, order) in orders {
        assert_eq!(
            through(Reorder::leaving_out(RangeSet::new()), &order, &data),
            BLOCKS * BLOCK_BYTES,
            "{name}"
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| through(Reorder::leaving_out(RangeSet::new()), &order, &data));
        });
    }

    // A restarted get: every other block is here already.
    let here: RangeSet = (0..BLOCKS).step_by(2).map(|n| n * BLOCK_BYTES..(n + 1) * BLOCK_BYTES).collect();
    let order: Vec<u64> = (1..BLOCKS).step_by(2).collect();
    assert_eq!(through(Reorder::leaving_out(here.clone()), &order, &data), BLOCKS / 2 * BLOCK_BYTES);
    group.throughput(Throughput::Elements(BLOCKS / 2));
    group.bench_function("every other block left out", |bencher| {
        let fresh = || Reorder::leaving_out(here.clone());
        bencher.iter_batched(fresh, |reorder| through(reorder, &order, &data), BatchSize::SmallInput);
    });
    group.finish();
}

/// As a reader does it: what is in order is taken as soon as it is there.
fn through(mut reorder: Reorder, order: &[u64], data: &Bytes) -> u64 {
    let mut bytes = 0;
    for n in order {
        reorder.insert(n * BLOCK_BYTES, data.clone()).unwrap();
        while let Some(data) = reorder.next() {
            bytes += black_box(data).len() as u64;
        }
    }
    bytes
}

fn reversed(window: u64) -> Vec<u64> {
    (0..BLOCKS / window).flat_map(|n| (n * window..(n + 1) * window).rev()).collect()
}

/// Blocks dealt to four connections, of which the first is late.
fn one_behind(blocks: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..BLOCKS).collect();
    order.sort_by_key(|n| if n % 4 == 0 { n + blocks } else { *n });
    order
}

/// Four connections with a part of the file each, taking turns.
fn quarters() -> Vec<u64> {
    let quarter = BLOCKS / 4;
    (0..quarter).flat_map(|n| (0..4).map(move |part| part * quarter + n)).collect()
}
