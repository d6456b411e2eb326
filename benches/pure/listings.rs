//! Lines of MLSD and LIST, one by one, and as a data connection brings them.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use gridftp::bench::{Listing, facts_line, list_line, parse_time};

const LINES: u64 = 1000;
/// As much as comes at once.
const PIECE: usize = 64 * 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    // 22 November 2026: what a line of LIST means must not depend on the day of the run.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600);
    let facts = |n: u64| {
        format!(
            "Type=file;Modify=20261122132452;Size={};Perm=awr;UNIX.mode=0644;UNIX.owner=user;UNIX.uid=1000;UNIX.group=users;\
             UNIX.gid=1000;Unique=fe00-{n:x}; part-{n:04}.root",
            n * 4099
        )
    };
    let verbose =
        |n: u64| format!("-rw-r--r--   1 user     users    {:>12} Nov 22 13:24 part-{n:04}.root", n * 4099);
    let (facts_one, verbose_one) = (facts(7), verbose(7));
    let mut group = criterion.benchmark_group("listings");

    let each = |bytes: usize| Throughput::ElementsAndBytes { elements: 1, bytes: bytes as u64 };
    assert!(facts_line(facts_one.as_bytes()).is_ok_and(|entry| entry.size() == Some(7 * 4099)));
    group.throughput(each(facts_one.len()));
    group.bench_function("a line of MLSD", |bencher| {
        bencher.iter(|| facts_line(black_box(facts_one.as_bytes())));
    });
    assert!(list_line(verbose_one.as_bytes(), now).unwrap().unwrap().size() == Some(7 * 4099));
    group.throughput(each(verbose_one.len()));
    group.bench_function("a line of LIST", |bencher| {
        bencher.iter(|| list_line(black_box(verbose_one.as_bytes()), now));
    });
    group.throughput(Throughput::Elements(1));
    assert!(parse_time(b"20261122132452").is_some());
    group.bench_function("a time", |bencher| bencher.iter(|| parse_time(black_box(b"20261122132452"))));

    let whole =
        |line: &dyn Fn(u64) -> String| Bytes::from((0..LINES).map(|n| line(n) + "\r\n").collect::<String>());
    let (facts, verbose) = (whole(&facts), whole(&verbose));
    let mut listing = |name: &str, text: &Bytes, fresh: &dyn Fn() -> Listing| {
        assert_eq!(entries(fresh(), text), LINES, "{name}");
        group.throughput(Throughput::ElementsAndBytes { elements: LINES, bytes: text.len() as u64 });
        group.bench_function(name, |bencher| bencher.iter(|| entries(fresh(), black_box(text))));
    };
    listing("MLSD", &facts, &Listing::facts);
    listing("LIST", &verbose, &|| Listing::verbose(now));
    group.finish();
}

fn entries(mut listing: Listing, text: &Bytes) -> u64 {
    let mut count = 0;
    let mut rest = text.clone();
    while !rest.is_empty() {
        listing.push(rest.split_to(rest.len().min(PIECE)));
        while let Some(entry) = listing.next().unwrap() {
            black_box(entry);
            count += 1;
        }
    }
    count
}
