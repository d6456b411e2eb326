//! Stores what comes on standard input as a file at a server, so that its name never holds half of it.
//!
//! `seq 1000000 | cargo run --example put -- gsiftp://data.example.org/~/numbers.txt`

use anyhow::{Context as _, Result};
use gridftp::{Client, Url};
use tokio::io::AsyncWriteExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = Url::parse(&std::env::args().nth(1).context("usage: put URL")?)?;
    let name = url.file_name().context("the URL names no file")?;
    let folder = url.parent().context("the URL names no file")?;
    let temporary = folder.join([b".", name, b".part"].concat())?;
    let client = Client::new()?;

    let mut writer = client.put(&temporary).await?.into_writer();
    let stored = async {
        tokio::io::copy(&mut tokio::io::stdin(), &mut writer).await?;
        // The server has confirmed the file, and its size, when this returns.
        writer.shutdown().await
    };
    if let Err(error) = stored.await {
        // The writer's drop would have the file deleted in the background, and this program is about to end.
        drop(writer);
        client.remove_file(&temporary).await.ok();
        return Err(error.into());
    }
    client.rename(&temporary, &url).await?;

    if let Some(summary) = writer.summary() {
        eprintln!("{url}: {} bytes", summary.bytes);
    }
    Ok(())
}
