//! Blocks of which a part is handed on.

use super::*;

#[tokio::test]
async fn what_there_is_of_a_block_is_handed_on_where_that_is_asked_for() {
    let (port, at) = port().await;
    let mut peer = peer(at).await;
    let data: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    send(&mut peer, header(0, data.len() as u64, 0)).await;
    send(&mut peer, &data[..10]).await;
    let mut whole = port.read_as_it_comes(2);
    let (mut here, mut sent) = (Vec::new(), 10);
    for until in [20, 100, 40_000, 300_000, data.len()] {
        while here.len() < sent {
            let (offset, more) = soon("what there is", whole.next()).await.unwrap().unwrap();
            assert_eq!(offset, here.len() as u64);
            here.extend_from_slice(&more);
        }
        assert_eq!(here.len(), sent);
        let (all, part) = (peer.write_all(&data[sent..until]), async {
            while here.len() < until {
                let (_, more) = soon("the rest", whole.next()).await.unwrap().unwrap();
                here.extend_from_slice(&more);
            }
        });
        let (written, ()) = tokio::join!(all, part);
        written.unwrap();
        sent = until;
    }
    send(&mut peer, eof(1)).await;
    assert_eq!(soon("the end", whole.next()).await.unwrap(), None);
    assert!(here == data && whole.is_gapless(true));
    // The same block, to one who does not ask for that: whole, or nothing.
    let mut run = port.read(2);
    send(&mut peer, header(0, 1000, 0)).await;
    send(&mut peer, &data[..999]).await;
    soon("the header", async {
        while !has_heard(&port, 1) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(run.try_next().is_none());
    send(&mut peer, &data[999..1000]).await;
    assert_eq!(soon("the block", run.next()).await.unwrap().unwrap().1, data[..1000]);
    // A connection that ends in the middle of a block is a failure of both.
    let mut part = port.read_as_it_comes(2);
    send(&mut peer, [eof(1), header(0, 1000, 0), data[..500].to_vec()].concat()).await;
    assert_eq!(soon("the end", run.next()).await.unwrap(), None);
    assert_eq!(soon("a part", part.next()).await.unwrap().unwrap().1, data[..500]);
    drop(peer);
    assert_eq!(soon("the failure", part.next()).await.unwrap_err().kind, FailureKind::EndOfFile);
}
