//! What somebody on the wire sees of protected data, and of data that is not.

use bytes::Bytes;
use gridftp::options::{ProtectionLevel, TransferMode};
use gridftp::{Client, Credential};
use gridftp_lab::{Capture, Pki, Server, random_bytes, sha256};

use crate::support::{short, trusting_in_own_network};

const SIZE: usize = 1_000_000;

/// Length of the pieces that are looked for: nothing repeats a piece of this length by chance.
const PIECE: usize = 16;

/// Which of many pieces of `contents`, spread evenly over it, the capture holds.
fn pieces_seen(seen: &[u8], contents: &[u8]) -> usize {
    const PIECES: usize = 200;
    let step = contents.len() / PIECES;
    // The first eight bytes of each piece, sorted: one pass over the capture finds the candidates for all of them.
    let key = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let mut wanted: Vec<_> =
        (0..PIECES).map(|n| &contents[n * step..][..PIECE]).map(|piece| (key(piece), piece)).collect();
    wanted.sort_unstable();
    let mut found = vec![false; PIECES];
    for window in seen.windows(PIECE) {
        if let Ok(at) = wanted.binary_search_by_key(&key(window), |(key, _)| *key) {
            found[at] |= wanted[at].1 == window;
        }
    }
    found.into_iter().filter(|found| *found).count()
}

/// Puts and gets a file, and tells how many of 200 pieces of it were on the wire each way.
async fn on_the_wire(
    client: &Client,
    server: &Server,
    mode: TransferMode,
    level: ProtectionLevel,
) -> [usize; 2] {
    let contents = random_bytes(SIZE as u64 + level as u64, SIZE);
    let url = server.url(format!("secret-{mode:?}-{level:?}"));
    let capture = Capture::start().unwrap();
    let mut put = client.put(&url).mode(mode).protection(level).await.unwrap();
    put.write(Bytes::from(contents.clone())).await.unwrap();
    put.finish().await.unwrap();
    let sent = capture.finish().unwrap();
    let capture = Capture::start().unwrap();
    let got = client.get(&url).mode(mode).protection(level).await.unwrap().bytes().await.unwrap();
    let received = capture.finish().unwrap();
    assert_eq!(sha256(&got), sha256(&contents));
    [sent, received].map(|seen| {
        // Whatever it was, it went over this wire, and the capture did not lose it.
        assert!(seen.len() >= SIZE, "only {} bytes were captured of {SIZE}", seen.len());
        pieces_seen(&seen, &contents)
    })
}

fn client(pki: &Pki) -> Client {
    let credential = Credential::from_proxy_file(pki.proxy());
    Client::builder().timeouts(short()).credential(credential).build().unwrap()
}

#[test]
fn private_data_is_not_seen_on_the_wire_and_clear_data_is() {
    let test = "protection::private_data_is_not_seen_on_the_wire_and_clear_data_is";
    trusting_in_own_network(test, |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = client(&pki);
        for mode in [TransferMode::Stream, TransferMode::ExtendedBlock] {
            let private = on_the_wire(&client, &server, mode, ProtectionLevel::Private).await;
            assert_eq!(private, [0, 0], "pieces of a private file on the wire, {mode:?}");
            // The same look finds everything where nothing is protected.
            let [sent, received] = on_the_wire(&client, &server, mode, ProtectionLevel::Clear).await;
            assert!(sent > 190 && received > 190, "{sent} and {received} of 200 pieces, {mode:?}");
        }
    });
}
