//! One control connection: lines in, replies out, misdeeds in between.

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::sync::Arc;

use super::data::Route;
use super::play::Step;
use super::{Stage, close_in_order, over, send};

/// Longest command.
const LONGEST: usize = 64 * 1024;

/// What a session has been told.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) stage: &'a Stage,
    pub(super) control: Arc<TcpStream>,
    pub(super) number: usize,
    unread: Vec<u8>,
    pub(super) user: Option<String>,
    pub(super) logged_in: bool,
    pub(super) extended: bool,
    pub(super) parallelism: usize,
    pub(super) rest: Option<String>,
    pub(super) rename_from: Option<Vec<u8>>,
    pub(super) folder: Vec<u8>,
    pub(super) route: Route,
    /// Data connections that stay open between files, in extended block mode.
    pub(super) channels: Vec<Arc<TcpStream>>,
    /// Whether those are for sending.
    pub(super) sending: bool,
    /// Data connections that nothing is done with any more, and that are not closed.
    pub(super) held: Vec<Arc<TcpStream>>,
}

/// Serves one connection until one side has enough.
pub(super) fn serve(stage: &Stage, control: Arc<TcpStream>, number: usize) {
    let mut session = Session {
        stage,
        control,
        number,
        unread: Vec::new(),
        user: None,
        logged_in: false,
        extended: false,
        parallelism: 1,
        rest: None,
        rename_from: None,
        folder: b"/".to_vec(),
        route: Route::None,
        channels: Vec::new(),
        held: Vec::new(),
        sending: false,
    };
    // Its end is an error, like all ends.
    drop(session.run());
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        let text = self.stage.play.greeting.as_deref().unwrap_or("lab Hostile GridFTP Server ready.");
        self.say(Step::Greeting, None, &format!("220 {text}"))?;
        loop {
            let line = self.line()?;
            self.stage.note(&line);
            let (verb, argument) = match line.iter().position(|&byte| byte == b' ') {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (&line[..], &b""[..]),
            };
            let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
            if !self.stage.play.queues_commands {
                self.unread.clear();
            }
            if verb == "QUIT" {
                self.reply("QUIT", "221 Goodbye.")?;
                close_in_order(&self.control);
                return Ok(());
            }
            self.command(&verb, argument)?;
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=at).collect();
                while matches!(line.last(), Some(b'\r' | b'\n')) {
                    line.pop();
                }
                // Telnet's interrupt and synch, which come before ABOR.
                line.retain(|&byte| !matches!(byte, 0xff | 0xf4 | 0xf2));
                return Ok(line);
            }
            let mut more = [0; 4096];
            let count = (&mut &*self.control).read(&mut more)?;
            if count == 0 || self.unread.len() > LONGEST {
                return Err(over());
            }
            self.unread.extend_from_slice(&more[..count]);
        }
    }

    /// Reads and forgets until the client closes, and tells that this was the end.
    pub(super) fn hold(&self) -> io::Error {
        let mut nothing = [0; 4096];
        while matches!((&mut &*self.control).read(&mut nothing), Ok(1..)) {}
        over()
    }

    /// The reply to a command that moves no data.
    pub(super) fn reply(&mut self, verb: &'static str, usual: &str) -> io::Result<()> {
        self.say(Step::Command(verb), None, usual)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        send(&self.control, bytes)
    }
}
