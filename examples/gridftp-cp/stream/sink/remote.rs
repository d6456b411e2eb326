//! A file at a server.

use std::sync::Arc;
use std::time::Duration;

use gridftp::{Block, Client, Error, ErrorKind, Put, Url};
use tokio::time::timeout;

use crate::failure::{End, Failure};
use crate::signals::Signals;
use crate::stream::Order;
use crate::stream::names;
use crate::stream::target::remote::{RemoteTarget, Way};
use crate::stream::tuning;

/// How long the end of a program that was asked to stop may be put off, to leave no incomplete file behind.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// A file at a server that is being written.
#[derive(Debug)]
pub(crate) struct RemoteSink {
    client: Client,
    url: Url,
    put: Option<Put>,
    /// The file's name for now.
    temp: Option<Temp>,
    /// Where the put begins in the file.
    base: u64,
    end: u64,
    /// Text has another size on its way.
    ascii: bool,
}

#[derive(Debug)]
struct Temp {
    client: Client,
    url: Url,
}

impl Temp {
    fn beside(client: &Client, url: &Url) -> Result<Self, Failure> {
        let name = names::temporary(url.file_name().unwrap_or(b"file"));
        let folder = url.parent().unwrap_or_else(|| url.clone());
        let url = folder.join(name).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { client: client.clone(), url })
    }

    /// Removes the file. The put is over, or its end is on the way to the server.
    async fn remove(&self) -> Result<(), String> {
        let left = |why: &str| format!("the incomplete file {} may be left at the server: {why}", self.url);
        match timeout(CLEAN_UP, self.client.remove_file(&self.url)).await {
            Ok(Ok(())) => Ok(()),
            // The put's own end was faster.
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
            Ok(Err(error)) => Err(left(&error.to_string())),
            Err(_) => Err(left("the server did not answer in time")),
        }
    }
}

impl RemoteSink {
    /// Opens the file at the server.
    pub(super) async fn open(
        target: RemoteTarget,
        client: &Client,
        order: &Arc<Order>,
        signals: &Signals,
    ) -> Result<Self, Failure> {
        let RemoteTarget { url, way } = target;
        let temp = match way {
            Way::Rename => Some(Temp::beside(client, &url)?),
            Way::InPlace | Way::Handed => None,
        };
        let base = if order.part.partial { order.part.offset } else { 0 };
        let channels = &order.channels;
        let put = channels.put(client.put(temp.as_ref().map_or(&url, |temp| &temp.url)));
        let mut builder =
            put.mode(channels.mode).parallelism(channels.parallelism).window(tuning::send_window(order));
        if base > 0 || way == Way::InPlace {
            // What is there already may be a device, which has no size.
            builder = builder.offset(base).check_size(way != Way::InPlace);
        }
        if way == Way::Handed {
            builder = builder.check_size(false);
        }
        // In a task of its own: once the server has been asked, its answer must be known, or a file might be left behind.
        let mut starting = tokio::spawn(builder.into_future());
        let put = tokio::select! {
            biased;
            result = &mut starting => match result {
                Ok(started) => started.map_err(failed),
                Err(_) => Err(Failure::interrupted()),
            },
            caught = signals.caught() => {
                let late = timeout(CLEAN_UP, starting).await;
                let mut failure = Failure::signal(caught);
                if let (Ok(Ok(Ok(put))), Some(temp)) = (late, &temp) {
                    drop(put);
                    if let Err(note) = temp.remove().await {
                        failure = failure.note(note);
                    }
                }
                Err(failure)
            }
        }?;
        Ok(Self {
            client: client.clone(),
            url,
            put: Some(put),
            temp,
            base,
            end: base,
            ascii: order.channels.ascii,
        })
    }

    pub(super) async fn write(&mut self, block: Block) -> Result<(), Failure> {
        let Some(put) = &mut self.put else { return Ok(()) };
        let length = u64::try_from(block.data.len()).unwrap_or(u64::MAX);
        self.end = self.end.max(block.offset.saturating_add(length));
        put.write_at(block.offset.saturating_sub(self.base), block.data).await.map_err(failed)
    }

    pub(super) async fn finish(mut self, bytes: u64, signals: &Signals) -> Result<(), Failure> {
        match self.complete(bytes, signals).await {
            Ok(()) => Ok(()),
            Err(failure) => match self.discard().await {
                Ok(()) => Err(failure),
                Err(note) => Err(failure.note(note)),
            },
        }
    }

    async fn complete(&mut self, bytes: u64, signals: &Signals) -> Result<(), Failure> {
        let Some(put) = self.put.take() else { return Ok(()) };
        let summary = signals.until(async { put.finish().await.map_err(failed) }).await?;
        if summary.bytes != bytes && !self.ascii {
            let message = format!("{bytes} bytes were read and {} sent to {}", summary.bytes, self.url);
            return Err(Failure::integrity(message).at(End::Destination));
        }
        let Some(temp) = &self.temp else { return Ok(()) };
        if self.base > 0 && bytes > 0 {
            // The library compares sizes of whole files only.
            let size = self.client.size(&temp.url).await.map_err(failed)?;
            if size != self.end {
                let message =
                    format!("the bytes sent to {} end at {}, and the file has {size}", self.url, self.end);
                return Err(Failure::integrity(message).at(End::Destination));
            }
        }
        // Not cut short any more by the first signal: nobody would know under which name the file is.
        match self.client.rename(&temp.url, &self.url).await {
            Ok(()) => {}
            Err(error) if error.may_have_applied() && self.was_renamed(&temp.url).await => {}
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Refused) => {
                self.replace(error).await?;
            }
            Err(error) => return Err(failed(error)),
        }
        self.temp = None;
        Ok(())
    }

    /// Whether a rename whose answer was lost has happened.
    async fn was_renamed(&self, temp: &Url) -> bool {
        matches!(self.client.exists(temp).await, Ok(false))
            && self.client.size(&self.url).await.is_ok_and(|size| size == self.end)
    }

    /// Some servers rename to no name that is taken. The file that has it goes only now, when the new one is complete.
    async fn replace(&mut self, refusal: Error) -> Result<(), Failure> {
        let Some(Temp { url: temp, .. }) = &self.temp else { return Ok(()) };
        let temp = temp.clone();
        match self.client.stat(&self.url).await {
            Ok(entry) if entry.is_file() => {}
            _ => return Err(failed(refusal)),
        }
        if self.client.remove_file(&self.url).await.is_err() {
            return Err(failed(refusal));
        }
        self.client.rename(&temp, &self.url).await.map_err(|error| {
            // The one copy there is now must not be cleaned away.
            self.temp = None;
            failed(error).note(format!("the complete copy is {temp}"))
        })
    }

    pub(super) async fn discard(mut self) -> Result<(), String> {
        // Ends the data connection.
        drop(self.put.take());
        match self.temp.take() {
            Some(temp) => temp.remove().await,
            None => Ok(()),
        }
    }
}

fn failed(error: Error) -> Failure {
    Failure::remote(End::Destination, error)
}
