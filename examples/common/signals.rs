//! Being asked to stop.
//!
//! The first signal ends the copy in an orderly way: what is incomplete is removed. The second one ends the program at
//! once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Code;
use crate::failure::Failure;

/// A signal that asks the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caught {
    HangUp,
    Interrupt,
    Terminate,
    /// No signal: the time for the whole run is over, which ends it in the same way.
    TimeLimit,
}

impl Caught {
    const ALL: [Self; 3] = [Self::HangUp, Self::Interrupt, Self::Terminate];

    pub(crate) fn code(self) -> Code {
        match self {
            Self::HangUp => Code::HungUp,
            Self::Interrupt => Code::Interrupted,
            Self::Terminate => Code::Terminated,
            Self::TimeLimit => Code::Timeout,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HangUp => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::TimeLimit => "the time limit",
        }
    }

    fn kind(self) -> Option<SignalKind> {
        match self {
            Self::HangUp => Some(SignalKind::hangup()),
            Self::Interrupt => Some(SignalKind::interrupt()),
            Self::Terminate => Some(SignalKind::terminate()),
            Self::TimeLimit => None,
        }
    }
}

/// The signals of this process, from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    sender: watch::Sender<Option<Caught>>,
    caught: watch::Receiver<Option<Caught>>,
    /// A file over the size that is allowed shall be a failed write, and not the end of the program.
    _file_size: Signal,
}

impl Signals {
    /// Begins to listen. A signal that the caller wants to be ignored (`nohup`, a job in the background) stays ignored.
    pub(crate) fn install() -> io::Result<Self> {
        let ignored = ignored();
        let (sender, caught) = watch::channel(None);
        for one in Caught::ALL {
            let Some(kind) = one.kind() else { continue };
            let number = kind.as_raw_value();
            if ignored >> (number - 1) & 1 == 1 {
                continue;
            }
            let mut signal = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    let second = sender.borrow().is_some();
                    if second {
                        std::process::exit(one.code().number().into());
                    }
                    sender.send_replace(Some(one));
                }
            });
        }
        Ok(Self { sender, caught, _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))? })
    }

    /// Behaves as if one came when this time is over.
    #[allow(dead_code, reason = "only one of the two programs has such a limit")]
    pub(crate) fn limit(&self, limit: std::time::Duration) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            sender.send_if_modified(|caught| match caught {
                Some(_) => false,
                None => {
                    *caught = Some(Caught::TimeLimit);
                    true
                }
            });
        });
    }

    /// What came already, if anything did.
    #[allow(dead_code, reason = "only one of the two programs asks")]
    pub(crate) fn now(&self) -> Option<Caught> {
        *self.caught.borrow()
    }

    /// Waits for a signal; one that came earlier counts.
    pub(crate) async fn caught(&self) -> Caught {
        let mut caught = self.caught.clone();
        let signal = caught.wait_for(Option::is_some).await.ok().and_then(|signal| *signal);
        match signal {
            Some(signal) => signal,
            // All are ignored: nobody will ever ask.
            None => std::future::pending().await,
        }
    }

    /// Runs `work` until it ends or a signal comes.
    pub(crate) async fn until<T: Send>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            caught = self.caught() => Err(Failure::signal(caught)),
            result = work => result,
        }
    }
}

/// The set of signals that are ignored, bit by bit; the kernel's own word, as asking for it takes no `unsafe` here.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
