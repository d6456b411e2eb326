//! Many small files through one pipeline: fetched, stored, or moved from server to server.

use anyhow::{Context as _, Result, bail};
use gridftp::{Client, PutFile};

pub(crate) async fn gets(base: &str, count: usize) -> Result<()> {
    let client = Client::new()?;
    let mut many = client.get_many((0..count).map(|n| format!("{base}/f{n}"))).await?;
    let mut bytes = 0;
    while let Some(mut file) = many.next_file().await? {
        while let Some(block) = file.next_block().await? {
            bytes += block.data.len() as u64;
        }
    }
    println!("bytes {bytes}");
    Ok(())
}

pub(crate) async fn puts(folder: String, base: String, count: usize) -> Result<()> {
    let client = Client::new()?;
    let mut many = client.put_many(&base).await?;
    let sender = many.sender();
    let sending = tokio::spawn(async move {
        for n in 0..count {
            let path = format!("{folder}/f{n}");
            let contents = std::fs::read(&path).with_context(|| format!("reading {path}"))?;
            sender.send(n as u64, PutFile::new(format!("{base}/f{n}").parse()?, contents)).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    let mut bytes = 0;
    while let Some(outcome) = many.next_outcome().await {
        bytes += outcome.result?.bytes;
    }
    sending.await.context("waiting for the sender")??;
    println!("bytes {bytes}");
    Ok(())
}

pub(crate) async fn third_party(list: &str) -> Result<()> {
    let text = tokio::fs::read_to_string(list).await.with_context(|| format!("reading {list}"))?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let client = Client::new()?;
    let mut many = client.third_party_many(pairs).await?;
    let (mut moved, mut failed) = (0_u64, 0_u64);
    while let Some(outcome) = many.next_outcome().await {
        match outcome.result {
            Ok(_) => moved += 1,
            Err(error) => {
                failed += 1;
                eprintln!("{error}");
            }
        }
    }
    println!("files {moved}");
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}
