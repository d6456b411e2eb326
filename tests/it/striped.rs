//! Several data nodes at once: SPAS, SPOR, layouts, and who may be at the other end.

use bytes::Bytes;
use gridftp::options::{DataChannelAuth, ProtectionLevel, StripeLayout};
use gridftp::{Client, ErrorKind};
use gridftp_lab::{Server, random_bytes, sha256};

use crate::support::{anonymous, trusting, with_proxy};

/// What is chosen for one transfer.
#[derive(Debug, Clone)]
struct Way {
    parallelism: u16,
    layout: StripeLayout,
    dcau: DataChannelAuth,
    protection: ProtectionLevel,
}

impl Way {
    fn plain(parallelism: u16, layout: StripeLayout) -> Self {
        Self { parallelism, layout, dcau: DataChannelAuth::Auto, protection: ProtectionLevel::Clear }
    }
}

const BLOCK: u32 = 256 * 1024;

/// Every layout with one connection and with several per stripe.
fn ways() -> Vec<Way> {
    let layouts =
        [StripeLayout::Default, StripeLayout::Blocked { block_bytes: BLOCK }, StripeLayout::Partitioned];
    layouts.into_iter().flat_map(|layout| [1, 4].map(|streams| Way::plain(streams, layout))).collect()
}

/// What each data node has moved since the last look.
struct Watch<'a> {
    server: &'a Server,
    before: Vec<u64>,
}

impl<'a> Watch<'a> {
    fn start(server: &'a Server) -> Self {
        Self { server, before: server.nodes().iter().map(Server::io_bytes).collect() }
    }

    /// Every node must have moved its share: half of what it would be if all were alike.
    fn all_moved(&self, size: usize, way: &Way) {
        let moved: Vec<u64> = self
            .server
            .nodes()
            .iter()
            .zip(&self.before)
            .map(|(node, before)| node.io_bytes() - before)
            .collect();
        let share = (size / moved.len() / 2) as u64;
        println!("{way:?}: {size} bytes, nodes read and wrote {moved:?}");
        assert!(moved.len() > 1 && moved.iter().all(|&bytes| bytes > share), "{way:?}: {moved:?} of {size}");
    }
}

async fn put(client: &Client, server: &Server, name: &str, contents: &[u8], way: &Way) {
    let mut put = client
        .put(server.url(name))
        .striped(true)
        .parallelism(way.parallelism)
        .layout(way.layout)
        .allocate(contents.len() as u64)
        .dcau(way.dcau.clone())
        .protection(way.protection)
        .await
        .unwrap();
    for piece in contents.chunks(700_000) {
        put.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(put.finish().await.unwrap().bytes, contents.len() as u64);
    assert_eq!(sha256(&std::fs::read(server.dir().join(name)).unwrap()), sha256(contents), "{way:?}");
}

async fn get(client: &Client, server: &Server, name: &str, contents: &[u8], way: &Way) {
    let get = client
        .get(server.url(name))
        .striped(true)
        .parallelism(way.parallelism)
        .layout(way.layout)
        .dcau(way.dcau.clone())
        .protection(way.protection)
        .await
        .unwrap();
    assert_eq!(sha256(&get.bytes().await.unwrap()), sha256(contents), "{way:?}");
}

/// Puts and gets, and both data nodes move bytes each time.
async fn both_ways(client: &Client, server: &Server, ways: &[Way]) {
    for (number, way) in ways.iter().enumerate() {
        let contents = random_bytes(number as u64, 9_000_001);
        let name = format!("f{number}");
        let watch = Watch::start(server);
        put(client, server, &name, &contents, way).await;
        watch.all_moved(contents.len(), way);
        let watch = Watch::start(server);
        get(client, server, &name, &contents, way).await;
        watch.all_moved(contents.len(), way);
        // Files that are shorter than there are stripes, and none at all.
        for size in [0, 1, 3] {
            let contents = random_bytes(size, usize::try_from(size).unwrap());
            let name = format!("small{number}-{size}");
            put(client, server, &name, &contents, way).await;
            get(client, server, &name, &contents, way).await;
        }
    }
}

#[tokio::test]
async fn striping_layout() {
    let server = Server::anonymous().striped(2).start();
    both_ways(&anonymous(), &server, &ways()).await;
}

#[test]
fn striping_layout_over_gsi() {
    trusting("striped::striping_layout_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).striped(2).start();
        both_ways(&with_proxy(&pki), &server, &ways()).await;
    });
}

#[test]
fn stripes_are_authenticated_and_protected() {
    trusting("striped::stripes_are_authenticated_and_protected", |pki| async move {
        let server = Server::gsi(&pki).striped(2).start();
        let private = |parallelism| Way {
            dcau: DataChannelAuth::OwnIdentity,
            protection: ProtectionLevel::Private,
            ..Way::plain(parallelism, StripeLayout::Default)
        };
        both_ways(&with_proxy(&pki), &server, &[private(1), private(2)]).await;
    });
}

#[tokio::test]
async fn one_set_of_stripes_serves_file_after_file() {
    let server = Server::anonymous().striped(2).start();
    let client = crate::support::builder().sessions_per_endpoint(1).build().unwrap();
    let way = Way::plain(2, StripeLayout::Default);
    let contents = |number: u64| random_bytes(number, 1_500_000 + usize::try_from(number).unwrap());
    for number in 0..5 {
        put(&client, &server, &format!("f{number}"), &contents(number), &way).await;
    }
    for number in 0..5 {
        let watch = Watch::start(&server);
        get(&client, &server, &format!("f{number}"), &contents(number), &way).await;
        watch.all_moved(1_500_000, &way);
    }
    let urls: Vec<_> = (0..5).map(|number| server.url(format!("f{number}"))).collect();
    let mut many = client.get_many(urls).striped(true).parallelism(2).await.unwrap();
    let mut number = 0;
    while let Some(mut file) = many.next_file().await.unwrap() {
        assert_eq!(sha256(&file.bytes().await.unwrap()), sha256(&contents(number)));
        number += 1;
    }
    assert_eq!(number, 5);
}

#[tokio::test]
async fn nodes_elsewhere_are_believed_only_if_the_caller_says_so() {
    let server = Server::anonymous().striped(2).node_args(["-data-interface", "127.0.0.2"]).start();
    let contents = random_bytes(3, 3_000_000);
    std::fs::write(server.dir().join("f"), &contents).unwrap();
    let client = anonymous();
    let elsewhere = "127.0.0.2".parse().unwrap();
    let put_to = |name: &str| client.put(server.url(name)).striped(true);

    // An unauthenticated server may not send this client to other hosts.
    let refused = put_to("g").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    assert!(refused.to_string().contains("127.0.0.2"), "{refused}");
    assert!(!server.dir().join("g").exists());
    let mut put = put_to("g").data_hosts([elsewhere]).await.unwrap();
    put.write(contents.clone().into()).await.unwrap();
    put.finish().await.unwrap();
    assert_eq!(sha256(&std::fs::read(server.dir().join("g")).unwrap()), sha256(&contents));
    let get = client.get(server.url("f")).striped(true).data_hosts([elsewhere]).await.unwrap();
    assert_eq!(sha256(&get.bytes().await.unwrap()), sha256(&contents));
}

#[tokio::test]
async fn a_server_without_stripes_says_so_and_one_with_one_stripe_works() {
    let plain = Server::anonymous().start();
    let contents = random_bytes(4, 600_000);
    let way = Way::plain(2, StripeLayout::Blocked { block_bytes: 4096 });
    put(&anonymous(), &plain, "f", &contents, &way).await;
    get(&anonymous(), &plain, "f", &contents, &way).await;

    let fake = crate::fake::Fake::start("220 ready\r\n", |_| None).await;
    for refused in [
        anonymous().put(fake.url("f")).striped(true).await.map(drop).unwrap_err(),
        anonymous().get(fake.url("f")).striped(true).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    }
}

#[tokio::test]
async fn what_stripes_cannot_be_is_refused_before_anything_is_touched() {
    let client = anonymous();
    let url = "ftp://127.0.0.1:1/f";
    for (error, part) in [
        (
            client
                .get(url)
                .striped(true)
                .mode(gridftp::options::TransferMode::Stream)
                .await
                .map(drop)
                .unwrap_err(),
            "stream mode",
        ),
        (
            client.get(url).layout(StripeLayout::Blocked { block_bytes: 10 }).await.map(drop).unwrap_err(),
            "blocks of 10 bytes",
        ),
        (client.put(url).striped(true).delayed_passive(true).await.map(drop).unwrap_err(), "delayed passive"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let server = Server::anonymous().striped(2).start();
    let unknown = client.put(server.url("f")).layout(StripeLayout::Partitioned).await.map(drop).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::InvalidInput, "{unknown}");
    assert!(!server.dir().join("f").exists());
}
