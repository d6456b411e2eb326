//! Seconds for many files between two servers: lines of `FROM TO` in a file, as globus-url-copy's `-f` takes them.
//!
//! `cargo run --release --example bench_third_party -- PAIRS`

use std::time::Instant;

#[tokio::main]
#[allow(clippy::print_stdout)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let list = std::env::args().nth(1).ok_or("expected a file with lines of two URLs")?;
    let text = tokio::fs::read_to_string(list).await?;
    let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let begun = Instant::now();
    let client = gridftp::Client::new()?;
    let mut many = client.third_party_many(pairs.iter().copied()).await?;
    let (mut moved, mut failed, mut bytes) = (0, 0, 0);
    while let Some(outcome) = many.next_outcome().await {
        match outcome.result {
            Ok(size) => {
                moved += 1;
                bytes += size.unwrap_or(0);
            }
            Err(error) => {
                failed += 1;
                eprintln!("{error}");
            }
        }
    }
    println!("{:.4} s, {moved} files, {bytes} bytes, {failed} failed", begun.elapsed().as_secs_f64());
    Ok(())
}
