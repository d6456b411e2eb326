//! `du`: sizes of files, summed up folder by folder.

use std::collections::BTreeMap;

use gridftp::Url;
use serde_json::json;

use crate::args::{self, verbs::Du};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::tree::{self, Walk};

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    files: u64,
    folders: u64,
}

pub(crate) async fn run(context: &Context, words: &Du) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let mut tally = Tally::default();
    let mut total = Sum::default();
    for url in &urls {
        let mut found = Tally::default();
        if let Some(sums) = sums(context, url, words.summarize, &mut found).await? {
            for (way, sum) in &sums {
                let path =
                    if way.is_empty() { url.path().to_vec() } else { tree::child(url, &way.join(&b'/')) };
                // It came out of a URL.
                let shown = url.with_path(path.clone()).map_err(remote)?;
                print(context, words, &shown.to_string(), &path, *sum).await?;
            }
            if let Some((_, sum)) = sums.last() {
                total.bytes = total.bytes.saturating_add(sum.bytes);
                total.files += sum.files;
                total.folders += sum.folders;
            }
            found.add(Ok(()))?;
        }
        tally.add_code(found.code());
    }
    if urls.len() > 1 && !context.json {
        print(context, words, "total", b"", total).await?;
    }
    Ok(tally.code())
}

/// The names that lead from the root of a tree to a folder in it.
type Way = Vec<Vec<u8>>;

/// Sums of folders, each after those below it; with `only_root` that of the root alone. None if there is nothing to sum up.
async fn sums(
    context: &Context,
    url: &Url,
    only_root: bool,
    tally: &mut Tally,
) -> Result<Option<Vec<(Way, Sum)>>, Failure> {
    let root = match context.client.stat(url).await {
        Ok(entry) => entry,
        Err(error) => {
            tally.add(Err(remote(error)))?;
            return Ok(None);
        }
    };
    if !root.is_dir() {
        let sum = Sum { bytes: root.size().unwrap_or(0), files: 1, folders: 0 };
        return Ok(Some(vec![(Vec::new(), sum)]));
    }
    let mut sums: BTreeMap<Way, Sum> = BTreeMap::new();
    sums.insert(Vec::new(), Sum { folders: 1, ..Sum::default() });
    let mut walk = Walk::of(&context.client, url, None);
    while let Some(found) = walk.next(tally).await? {
        let entry = found.entry();
        let is_folder = tree::is_folder(entry);
        let bytes = if entry.is_symlink() || is_folder { 0 } else { entry.size().unwrap_or(0) };
        let way: Way = found.path().split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        let levels = match (only_root, is_folder) {
            (true, _) => 0..=0,
            (false, true) => 0..=way.len(),
            (false, false) => 0..=way.len().saturating_sub(1),
        };
        for level in levels {
            let sum = match sums.get_mut(&way[..level]) {
                Some(sum) => sum,
                None => sums.entry(way[..level].to_vec()).or_default(),
            };
            sum.bytes = sum.bytes.saturating_add(bytes);
            sum.files += u64::from(!is_folder);
            sum.folders += u64::from(is_folder);
        }
    }
    let mut sums: Vec<(Way, Sum)> = sums.into_iter().collect();
    // As `du` has it: what is below comes first, the root last.
    sums.sort_by(|(one, _), (other, _)| {
        let shared = one.iter().zip(other).find(|(a, b)| a != b);
        shared.map_or_else(|| other.len().cmp(&one.len()), |(a, b)| a.cmp(b))
    });
    Ok(Some(sums))
}

async fn print(context: &Context, words: &Du, url: &str, path: &[u8], sum: Sum) -> Result<(), Failure> {
    if context.json {
        let object = json!({
            "url": url,
            "path": String::from_utf8_lossy(path),
            "bytes": sum.bytes,
            "files": sum.files,
            "folders": sum.folders,
        });
        return context.out.json(&object).await;
    }
    context.out.line(&format!("{:<12}  {url}", show::size(sum.bytes, words.human))).await
}
