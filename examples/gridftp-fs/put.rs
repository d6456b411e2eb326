//! `put`: a file, or standard input, to a server.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gridftp::{Client, Error, ErrorKind, Url};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::args::{self, verbs::Put};
use crate::context::{Context, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::location::Location;
use crate::temporary;

/// Bytes that are read and sent at once.
const BLOCK: usize = 512 << 10;

type Source = Box<dyn AsyncRead + Send + Unpin>;

pub(crate) async fn run(context: &Context, words: &Put) -> Result<Code, Failure> {
    let url = args::url(&words.url)?;
    let (source, name): (Source, Option<Vec<u8>>) = match Location::parse(&words.file)? {
        Location::Stdio => (Box::new(tokio::io::stdin()), None),
        Location::Local(path) => {
            let failed = |error| Failure::local(format!("cannot read {}", path.display()), error);
            let file = tokio::fs::File::open(&path).await.map_err(failed)?;
            if file.metadata().await.map_err(failed)?.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            (Box::new(file), path.file_name().map(|name| name.as_bytes().to_vec()))
        }
        Location::Remote(_) => {
            return Err(Failure::usage(
                "the file is at a server, expected a local one; gridftp-cp copies between servers",
            ));
        }
    };
    let url = target(&context.client, url, name.as_deref()).await?;
    let bytes = store(context, &url, source).await?;
    context.note(&format!("{bytes} bytes stored as {url}"));
    Ok(Code::Success)
}

/// The URL that the file gets: a folder's is that of a file in it.
async fn target(client: &Client, url: Url, name: Option<&[u8]>) -> Result<Url, Failure> {
    let is_folder = match client.stat(&url).await {
        Ok(entry) => entry.is_dir(),
        Err(error) if error.kind() == ErrorKind::NotFound => url.path().ends_with(b"/"),
        Err(error) => return Err(remote(error)),
    };
    match (is_folder, name) {
        (false, _) => Ok(url),
        (true, Some(name)) => url.join(name).map_err(remote),
        (true, None) => Err(Failure::in_the_way(format!(
            "{url} is a folder, expected the name of a file for standard input"
        ))),
    }
}

/// Writes under a temporary name in the same folder, and gives the file its name once the server has confirmed all of it.
pub(crate) async fn store(context: &Context, url: &Url, source: Source) -> Result<u64, Failure> {
    let Some(folder) = url.parent() else {
        return Err(Failure::in_the_way(format!("{url} is a folder, expected the name of a file")));
    };
    let name = temporary::temporary(url.file_name().unwrap_or(b"file"));
    let part = folder.join(name).map_err(remote)?;
    context.unfinished(&part);
    let bytes = send(&context.client, &part, source).await?;
    match context.client.rename(&part, url).await {
        Ok(()) => context.finished(&part),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Refused) => {
            replace(context, &part, url, error).await?;
        }
        Err(error) => return Err(remote(error)),
    }
    Ok(bytes)
}

async fn send(client: &Client, part: &Url, mut source: Source) -> Result<u64, Failure> {
    let building = client.put(part);
    // In a task of its own: once the server has been asked, its answer must be known, or a file might be left behind.
    let starting = tokio::spawn(building.into_future());
    let mut put = starting.await.map_err(|_| Failure::interrupted())?.map_err(remote)?;
    let mut sent = 0;
    loop {
        let block =
            block(&mut source).await.map_err(|error| Failure::local("cannot read the source", error))?;
        if block.is_empty() {
            break;
        }
        sent += u64::try_from(block.len()).unwrap_or(0);
        put.write(block).await.map_err(remote)?;
    }
    let summary = put.finish().await.map_err(remote)?;
    if summary.bytes == sent {
        Ok(sent)
    } else {
        Err(Failure::integrity(format!("{sent} bytes were read and {} sent to {part}", summary.bytes)))
    }
}

/// The next bytes, as many as fit, unless there are no more.
async fn block(source: &mut Source) -> io::Result<Bytes> {
    let mut buffer = BytesMut::with_capacity(BLOCK);
    while buffer.len() < BLOCK {
        if source.read_buf(&mut buffer).await? == 0 {
            break;
        }
    }
    Ok(buffer.freeze())
}

/// Some servers rename to no name that is taken. The file that has it goes only now, when the new one is complete.
async fn replace(context: &Context, part: &Url, url: &Url, refusal: Error) -> Result<(), Failure> {
    match context.client.stat(url).await {
        Ok(entry) if entry.is_file() => {}
        _ => return Err(remote(refusal)),
    }
    let (client, from, to) = (context.client.clone(), part.clone(), url.clone());
    let critical = Arc::clone(&context.critical).lock_owned().await;
    // From here on the temporary file may be the only one; a task goes on when a signal comes.
    context.finished(part);
    let replacing = tokio::spawn(async move {
        let _critical = critical;
        client.remove_file(&to).await?;
        client.rename(&from, &to).await
    });
    replacing
        .await
        .map_err(|_| Failure::interrupted())?
        .map_err(|error| remote(error).note(format!("the complete copy is {part}")))
}
