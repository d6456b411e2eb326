//! Replies, as they are cut out of what the socket gives; what stands in them; URLs and headers of blocks.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use gridftp::bench::{
    Replies, block_header, checksum_reply, facts_reply, kind_of_reply, parse_features, passive_port, reply,
    size_reply,
};
use gridftp::{Checksum, ChecksumAlgorithm, ErrorKind, Url};

/// What globus-gridftp-server 13.24 answers to FEAT.
const FEATURES: [&str; 25] = [
    "Extensions supported",
    " CKSM MD5:10;ADLER32:10;SHA1:10;SHA256:11;SHA512:12;",
    " DSI file-13.24",
    " STORATTR",
    " HTTP",
    " DCSC P,D",
    " MFMT",
    " WHOAMI",
    " AUTHZ_ASSERT",
    " MLSR",
    " MLSC",
    " UTF8",
    " LANG EN",
    " DCAU",
    " PARALLEL",
    " SIZE",
    " MLST Type*;Size*;Modify*;Perm*;Charset;UNIX.mode*;\
     UNIX.owner*;UNIX.uid*;UNIX.group*;UNIX.gid*;Unique*;UNIX.slink*;X.count;",
    " ERET",
    " ESTO",
    " SPAS",
    " SPOR",
    " REST STREAM",
    " MDTM",
    " PASV AllowDelayed;",
    "End.",
];
/// And to MLST, about a file.
const FACTS: &str = " Type=file;Modify=20261122132452;Size=1048576;Perm=awr;UNIX.mode=0644;UNIX.owner=user;UNIX.uid=1000;\
     UNIX.group=users;UNIX.gid=1000;Unique=fe00-99405d; /data/run7/part-0001.root";

pub(crate) fn bench(criterion: &mut Criterion) {
    streams(criterion);
    values(criterion);
    urls(criterion);
    headers(criterion);
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replies");
    let short = "213 1048576\r\n".repeat(1000);
    let facts = format!("250-status of /data/run7/part-0001.root\r\n{FACTS}\r\n250 End.\r\n").repeat(1000);
    let long = format!("111 Range Marker {}0-1\r\n", "1048576-2097152,".repeat(10_000));
    // A segment on a link, and what a busy loopback gives at once.
    for (name, text, count) in
        [("of one line", &short, 1000), ("MLST", &facts, 1000), ("160 KB in a line", &long, 1)]
    {
        let bytes = text.len() as u64;
        group.throughput(Throughput::ElementsAndBytes { elements: count, bytes });
        for piece in [1448, 65_536] {
            assert_eq!(taken(text.as_bytes(), piece), count, "{name}");
            group.bench_function(format!("{name}, read by {piece}"), |bencher| {
                bencher.iter(|| taken(black_box(text.as_bytes()), piece));
            });
        }
    }
    group.finish();
}

fn taken(text: &[u8], piece: usize) -> u64 {
    let mut replies = Replies::default();
    let mut count = 0;
    for piece in text.chunks(piece) {
        replies.push(piece);
        while let Some(reply) = replies.next().unwrap() {
            black_box(reply);
            count += 1;
        }
    }
    count
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    group.throughput(Throughput::Elements(1));
    let told = reply(213, &["1048576"]);
    assert!(size_reply(&told).is_ok());
    group.bench_function("SIZE", |bencher| bencher.iter(|| size_reply(black_box(&told))));
    let told = reply(250, &["status of /data/run7/part-0001.root", FACTS, "End."]);
    assert!(facts_reply(&told).is_ok());
    group.bench_function("MLST", |bencher| bencher.iter(|| facts_reply(black_box(&told))));
    let told = reply(227, &["Entering Passive Mode (127,0,0,1,195,80)"]);
    assert!(passive_port(&told).is_ok());
    group.bench_function("PASV", |bencher| bencher.iter(|| passive_port(black_box(&told))));
    let told = reply(211, &FEATURES);
    assert!(parse_features(&told).is_ok_and(|features| features.cksm()));
    group.bench_function("FEAT", |bencher| bencher.iter(|| parse_features(black_box(&told))));
    let told = reply(
        550,
        &[
            "GlobusError: v=1 c=PATH_NOT_FOUND",
            "GridFTP-Errno: 2",
            "GridFTP-Reason: System error in stat",
            "GridFTP-Error-String: No such file or directory",
            "End.",
        ],
    );
    assert_eq!(kind_of_reply(&told), ErrorKind::NotFound);
    group.bench_function("what a refusal means", |bencher| bencher.iter(|| kind_of_reply(black_box(&told))));
    let digits = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for (name, algorithm, digits) in [
        ("CKSM ADLER32", ChecksumAlgorithm::Adler32, &digits[..8]),
        ("CKSM SHA256", ChecksumAlgorithm::Sha256, digits),
    ] {
        let told = reply(213, &[digits]);
        assert!(checksum_reply(&told, &algorithm).is_ok());
        group.bench_function(name, |bencher| bencher.iter(|| checksum_reply(black_box(&told), &algorithm)));
    }
    let sum = Checksum::from_hex(ChecksumAlgorithm::Sha256, digits).unwrap();
    group.bench_function("SHA256 to digits", |bencher| bencher.iter(|| black_box(&sum).to_hex()));
    group.finish();
}

fn urls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("urls");
    group.throughput(Throughput::Elements(1));
    for (name, text) in [
        ("plain", "gsiftp://dtn.example.org/data/run7/part-0001.root"),
        ("encoded", "ftp://user:secret@dtn.example.org:2811/data/run%207/%C3%A9t%C3%A9/part%2D0001.root"),
        ("IPv6", "ftp://[2001:db8::1]:2811/data/run7/part-0001.root"),
    ] {
        let url = Url::parse(text).unwrap();
        group
            .bench_function(format!("parse, {name}"), |bencher| bencher.iter(|| Url::parse(black_box(text))));
        group.bench_function(format!("show, {name}"), |bencher| bencher.iter(|| black_box(&url).to_string()));
    }
    let folder = Url::parse("gsiftp://dtn.example.org/data/run7").unwrap();
    group.bench_function("join", |bencher| bencher.iter(|| folder.join(black_box(b"part-0001.root"))));
    group.finish();
}

fn headers(criterion: &mut Criterion) {
    const HEADERS: u64 = 1024;
    let header = |n: u64| {
        let mut bytes = [0; 17];
        bytes[1..9].copy_from_slice(&262_144_u64.to_be_bytes());
        bytes[9..].copy_from_slice(&(n * 262_144).to_be_bytes());
        bytes
    };
    let headers: Vec<[u8; 17]> = (0..HEADERS).map(header).collect();
    assert_eq!(block_header(headers[3]), Ok((3 * 262_144, 262_144)));
    let mut group = criterion.benchmark_group("headers");
    group.throughput(Throughput::ElementsAndBytes { elements: HEADERS, bytes: HEADERS * 17 });
    group.bench_function("of extended blocks", |bencher| {
        bencher.iter(|| {
            black_box(&headers).iter().filter(|bytes| black_box(block_header(**bytes)).is_ok()).count()
        });
    });
    group.finish();
}
