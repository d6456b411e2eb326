//! Fetches many small files through one pipeline and throws them away: `bench_small URL_BASE COUNT`.
//!
//! The files are `URL_BASE/f0` … `URL_BASE/f<COUNT-1>`. `cargo xtask bench small` times it beside globus-url-copy.

use std::process::ExitCode;

use gridftp::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(base), Some(Ok(count))) =
        (arguments.next(), arguments.next().map(|count| count.parse::<usize>()))
    else {
        eprintln!("usage: bench_small URL_BASE COUNT");
        return ExitCode::from(2);
    };
    match fetch(&base, count).await {
        Ok(bytes) => {
            eprintln!("{count} files, {bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_small: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn fetch(base: &str, count: usize) -> gridftp::Result<u64> {
    let client = Client::new()?;
    let mut many = client.get_many((0..count).map(|n| format!("{base}/f{n}"))).await?;
    let mut bytes = 0;
    while let Some(mut file) = many.next_file().await? {
        while let Some(block) = file.next_block().await? {
            bytes += block.data.len() as u64;
        }
    }
    Ok(bytes)
}
