//! What all verbs need: the client, where they write to, and what becomes of many failures.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gridftp::options::Timeouts;
use gridftp::{Client, Credential, ErrorKind, Url};
use tokio::io::{AsyncWriteExt as _, BufWriter, Stdout};
use tokio::time::sleep;

use crate::args::Common;
use crate::exit::Code;
use crate::failure::Failure;
use crate::signals::Signals;

/// How long the end of a program that was asked to stop may be put off, to leave no unfinished file behind.
const CLEAN_UP: Duration = Duration::from_millis(1200);
/// The same, of one that nobody has asked to.
const CLEAN_UP_AT_LEISURE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) credential: Credential,
    pub(crate) timeout: Option<Duration>,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) out: Out,
    /// Files at servers that must not stay, whatever ends the program.
    unfinished: Mutex<Vec<Url>>,
    /// Held by what must come to its end even so.
    pub(crate) critical: Arc<tokio::sync::Mutex<()>>,
}

impl Context {
    pub(crate) fn new(common: &Common, cred: Credential) -> Result<Self, Failure> {
        let mut timeouts = Timeouts::default();
        if let Some(limit) = common.timeout {
            timeouts = timeouts.connect(limit).reply(limit).first_byte(limit).stall(limit);
        }
        let mut builder = Client::builder()
            .application("gridftp-fs", env!("CARGO_PKG_VERSION"))
            .credential(cred.clone())
            .timeouts(timeouts);
        if let Some(subject) = &common.subject {
            builder = builder.subject(subject);
        }
        Ok(Self {
            client: builder.build().map_err(remote)?,
            credential: cred,
            timeout: common.timeout,
            json: common.json,
            quiet: common.quiet,
            out: Out::new(),
            unfinished: Mutex::default(),
            critical: Arc::default(),
        })
    }

    /// From now on this file is removed at the end, unless it is [forgotten](Self::finished).
    pub(crate) fn unfinished(&self, url: &Url) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(url.clone());
    }

    pub(crate) fn finished(&self, url: &Url) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != url);
    }

    /// Removes what is unfinished; gives what may be left.
    pub(crate) async fn clean_up(&self, signals: &Signals) -> Vec<String> {
        let urls = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        let removing = async {
            drop(self.critical.lock().await);
            let mut left = Vec::new();
            for url in &urls {
                match self.client.remove_file(url).await {
                    Ok(()) => {}
                    // The library's own cleaning up was faster.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => left.push(format!("an unfinished file may be left: {error}")),
                }
            }
            left
        };
        let hurried = async {
            signals.caught().await;
            sleep(CLEAN_UP).await;
        };
        tokio::select! {
            left = removing => return left,
            () = hurried => {}
            () = sleep(CLEAN_UP_AT_LEISURE) => {}
        }
        let late = |url| format!("the unfinished file {url} may be left: the server did not answer in time");
        urls.iter().map(late).collect()
    }

    /// Says something that is no failure.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "gridftp-fs: {text}");
        }
    }
}

/// Tells a failure, when it is not the last word.
pub(crate) fn complain(failure: &Failure) {
    if let Some(line) = failure.line() {
        // Whoever does not listen is not told.
        let _ = writeln!(io::stderr(), "gridftp-fs: {line}");
    }
}

/// A failure of the library.
pub(crate) fn remote(error: gridftp::Error) -> Failure {
    Failure::remote(None, error)
}

/// Standard output, written by another thread: a reader that does not read must not keep signals from being heard.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: tokio::sync::Mutex<BufWriter<Stdout>>,
    at_once: bool,
}

impl Out {
    fn new() -> Self {
        Self {
            stdout: tokio::sync::Mutex::new(BufWriter::with_capacity(64 << 10, tokio::io::stdout())),
            at_once: io::stdout().is_terminal(),
        }
    }

    /// One line, of text that is fit to be shown.
    pub(crate) async fn line(&self, text: &str) -> Result<(), Failure> {
        self.ended(text.as_bytes(), b'\n').await
    }

    /// Bytes with `end` behind them.
    pub(crate) async fn ended(&self, bytes: &[u8], end: u8) -> Result<(), Failure> {
        let mut stdout = self.stdout.lock().await;
        stdout.write_all(bytes).await.map_err(unwritten)?;
        stdout.write_all(&[end]).await.map_err(unwritten)?;
        if self.at_once { stdout.flush().await.map_err(unwritten) } else { Ok(()) }
    }

    pub(crate) async fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.lock().await.write_all(bytes).await.map_err(unwritten)
    }

    pub(crate) async fn json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(&value.to_string()).await
    }

    pub(crate) async fn flush(&self) -> Result<(), Failure> {
        self.stdout.lock().await.flush().await.map_err(unwritten)
    }
}

fn unwritten(error: io::Error) -> Failure {
    Failure::local("cannot write to standard output", error)
}

/// What has come of many things.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    some: bool,
    first: Option<Code>,
}

impl Tally {
    /// Counts one thing, and tells its failure.
    ///
    /// # Errors
    /// A failure after which nothing makes sense any more: nobody reads.
    pub(crate) fn add(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        match result {
            Ok(()) => self.some = true,
            Err(failure) if failure.code() == Code::BrokenPipe => return Err(failure),
            Err(failure) => {
                complain(&failure);
                let code = failure.code();
                self.first.get_or_insert(code);
            }
        }
        Ok(())
    }

    /// Counts what was counted elsewhere.
    pub(crate) fn add_code(&mut self, code: Code) {
        match code {
            Code::Success => self.some = true,
            Code::Partial => {
                self.some = true;
                self.first.get_or_insert(code);
            }
            code => {
                self.first.get_or_insert(code);
            }
        }
    }

    pub(crate) fn code(&self) -> Code {
        match self.first {
            None => Code::Success,
            Some(_) if self.some => Code::Partial,
            Some(code) => code,
        }
    }
}
