//! `cat`: contents to standard output.

use gridftp::{ByteRange, Url};

use crate::args::{self, verbs::Cat};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, words: &Cat) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let range = match words.length {
        None => ByteRange::from(words.offset..),
        Some(length) => match words.offset.checked_add(length) {
            Some(end) => ByteRange::from(words.offset..end),
            None => return Err(Failure::usage("the part ends beyond 2^63 bytes")),
        },
    };
    let mut tally = Tally::default();
    for url in &urls {
        tally.add(one(context, url, range).await)?;
    }
    Ok(tally.code())
}

async fn one(context: &Context, url: &Url, range: ByteRange) -> Result<(), Failure> {
    if range.length() == Some(0) {
        // Nothing to ask for; that there is such a file is still to be told.
        return context.client.stat(url).await.map(drop).map_err(remote);
    }
    let get = context.client.get(url).range(range).await.map_err(remote)?;
    let mut reader = get.into_reader();
    while let Some(chunk) = reader.next_chunk().await.map_err(remote)? {
        context.out.bytes(&chunk).await?;
    }
    // Here, so that a failure of a later file does not come before this one's last bytes.
    context.out.flush().await
}
