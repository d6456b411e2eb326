//! Whether a transfer that goes past us still moves.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Client, SessionOptions};
use crate::error::Error;
use crate::protocol::command::Command;
use crate::session::watch::{Alarm, Limits};
use crate::url::Url;

/// Longest time between two looks at the destination's file, when nothing else is heard of it.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// What the destination said about its file: the answers to SIZE and MDTM.
type Look = Vec<Vec<u8>>;

/// The deadline of a transfer between servers.
///
/// Signs of life are replies and markers that show more bytes than the one before. In stream mode globus-gridftp-server sends
/// no markers, so after a while of silence the file's size and time of last change are asked for on another session: if they
/// change, it moves. Only when neither is so for the whole limit has the transfer stalled.
pub(super) struct Stall {
    look: Box<dyn Fn() -> Looking + Send + Sync>,
    /// None where the server cannot tell; then the clock decides alone.
    looks: bool,
    limits: Limits,
    begun: bool,
    progressed: Instant,
    next_look: Instant,
    looking: Option<Looking>,
    seen: Option<Look>,
    /// A look since the last progress showed nothing new.
    still: bool,
    alarm: Option<Alarm>,
}

type Looking = Pin<Box<dyn Future<Output = Option<Look>> + Send + Sync>>;

impl Stall {
    pub(super) fn new(
        client: Client,
        url: Url,
        options: SessionOptions,
        looks: bool,
        limits: Limits,
    ) -> Self {
        let limit = limits.stall;
        let look = move || -> Looking {
            let (client, url, options) = (client.clone(), url.clone(), options.clone());
            let (sender, receiver) = tokio::sync::oneshot::channel();
            // Without a runtime nobody can be asked.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Box::pin(async { None }) };
            runtime.spawn(async move {
                let looked = tokio::time::timeout(limit, look_at(&client, &url, &options)).await;
                drop(sender.send(looked.ok().flatten()));
            });
            Box::pin(async move { receiver.await.ok().flatten() })
        };
        let now = Instant::now();
        let mut stall = Self {
            look: Box::new(look),
            looks,
            limits,
            begun: false,
            progressed: now,
            next_look: now,
            looking: None,
            seen: None,
            still: false,
            alarm: None,
        };
        stall.next_look = later(now, stall.interval());
        stall
    }

    fn limit(&self) -> Duration {
        if self.begun { self.limits.stall } else { self.limits.first_byte }
    }

    fn interval(&self) -> Duration {
        (self.limit() / 4).min(LOOK_EVERY)
    }

    /// Something moved.
    pub(super) fn progress(&mut self) {
        self.begun = true;
        self.sign();
    }

    /// A server said something; the wait begins anew.
    pub(super) fn sign(&mut self) {
        self.progressed = Instant::now();
        self.next_look = later(self.progressed, self.interval());
        self.still = false;
    }

    /// Ready when the transfer does not move any more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            if let Some(looking) = &mut self.looking
                && let Poll::Ready(look) = looking.as_mut().poll(cx)
            {
                self.looking = None;
                self.next_look = later(Instant::now(), self.interval());
                match (&self.seen, look) {
                    (Some(seen), Some(look)) if *seen != look => {
                        self.progress();
                        self.seen = Some(look);
                    }
                    (None, Some(look)) => self.seen = Some(look),
                    // Nobody could be asked, or nothing has changed.
                    _ => self.still = true,
                }
            }
            let now = Instant::now();
            let end = later(self.progressed, self.limit());
            if now >= end && (self.still || !self.looks) {
                let stalled =
                    if self.begun { self.limits.stalled() } else { self.limits.first_byte_passed() };
                return Poll::Ready(stalled);
            }
            if self.looks && self.looking.is_none() && now >= self.next_look {
                self.looking = Some((self.look)());
                continue;
            }
            let wake = match (self.looks, &self.looking) {
                (false, _) => end,
                (true, None) => self.next_look,
                (true, Some(_)) => return Poll::Pending,
            };
            let alarm = self.alarm.get_or_insert_with(|| Alarm::at(wake));
            if alarm.time() != wake {
                alarm.reset(wake);
            }
            if alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

fn later(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or_else(|| from + Duration::from_secs(30 * 365 * 86_400))
}

async fn look_at(client: &Client, url: &Url, options: &SessionOptions) -> Option<Look> {
    let path = client.server_path(url).into_owned();
    let commands = ["SIZE", "MDTM"]
        .map(|verb| Command::with(verb, &path))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    let session = client.shared(url, options).await.ok()?;
    let mut look = Vec::new();
    for mut pending in session.control.send_all(commands) {
        let reply = pending.last().await.ok()?;
        look.push(reply.lines().next().unwrap_or_default().to_vec());
    }
    Some(look)
}
