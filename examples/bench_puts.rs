//! Stores many small files through one pipeline: `bench_puts FOLDER URL_BASE COUNT`.
//!
//! The files are `FOLDER/f0` … `FOLDER/f<COUNT-1>`, and go to `URL_BASE/f0` and so on.

use std::process::ExitCode;

use gridftp::{Client, Error, PutFile};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(base), Some(Ok(count))) =
        (arguments.next(), arguments.next(), arguments.next().map(|count| count.parse::<u64>()))
    else {
        eprintln!("usage: bench_puts FOLDER URL_BASE COUNT");
        return ExitCode::from(2);
    };
    match store(folder, base, count).await {
        Ok(bytes) => {
            eprintln!("{count} files, {bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_puts: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn store(folder: String, base: String, count: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let client = Client::new()?;
    let mut many = client.put_many(&base).await?;
    let sender = many.sender();
    let sending = tokio::spawn(async move {
        for n in 0..count {
            let contents = std::fs::read(format!("{folder}/f{n}")).map_err(|error| error.to_string())?;
            let url = format!("{base}/f{n}").parse().map_err(|error: Error| error.to_string())?;
            sender.send(n, PutFile::new(url, contents)).await.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    });
    let mut bytes = 0;
    while let Some(outcome) = many.next_outcome().await {
        bytes += outcome.result?.bytes;
    }
    sending.await??;
    Ok(bytes)
}
