//! Commands that move data.

mod receive;
mod send;

use std::io;

use super::acts::noise;
use super::blocks::{self, block, header};
use super::files::{Node, normal};
use super::play::{Act, Step};
use super::session::Session;
use super::{close_in_order, lock, over, reset, send as put};

/// How a transfer goes on after a misdeed.
enum Next {
    GoOn,
    /// The end is told as if this were all.
    End,
    /// Nothing more is sent or received, and the final reply is usual.
    Done,
    /// Nothing more is sent or received, and this is the final reply.
    Say(Vec<u8>),
}

/// How the data of a transfer went.
enum Went {
    Well,
    /// Its end was not told.
    Unended,
    Broke,
    Said(Vec<u8>),
}

/// What a command asks for.
struct Wanted {
    path: Vec<u8>,
    /// Where the part begins, and how long it is at most.
    part: Option<(u64, u64)>,
}

impl Session<'_> {
    pub(super) fn transfer(&mut self, verb: &'static str, argument: &[u8]) -> io::Result<()> {
        let rest = self.rest.take();
        let Some(wanted) = self.wanted(verb, argument) else {
            return self.reply(verb, "501 That is no part of a file.");
        };
        let path = wanted.path.clone();
        // What comes before the transfer, or in its place.
        match self.stage.rules.take(Step::Command(verb), self.number, Some(&path)) {
            None => {}
            Some(Act::Before(bytes)) => self.write(&bytes)?,
            Some(Act::Delay(time)) => self.stage.pause(time)?,
            Some(act) => return self.perform(act, "150 Opening data connection."),
        }
        let found = lock(&self.stage.files).get(&path);
        let listing = matches!(verb, "MLSD" | "LIST" | "NLST");
        match (verb, found) {
            ("RETR" | "ERET", Some(Node::File(bytes))) => {
                let ranges = send::ranges(&bytes, &wanted, rest.as_deref(), self.extended);
                self.send(&path, &bytes, &ranges)
            }
            ("STOR" | "APPE" | "ESTO", None | Some(Node::File(_))) => {
                if !lock(&self.stage.files).has_parent(&path) {
                    return self.write(b"550 No such file or directory.\r\n");
                }
                self.receive(verb, &wanted, rest.as_deref())
            }
            ("STOR" | "APPE" | "ESTO", Some(_)) => self.write(b"550 Is a directory.\r\n"),
            (_, Some(Node::Folder)) if listing => {
                let bytes = self.list(verb, &path);
                let whole = [(0, bytes.len(), 0)];
                self.send(&path, &bytes, &whole)
            }
            (_, Some(_)) => self.write(b"550 Not of that kind.\r\n"),
            (_, None) => self.write(b"550 No such file or directory.\r\n"),
        }
    }

    fn wanted(&self, verb: &str, argument: &[u8]) -> Option<Wanted> {
        let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok();
        let (path, part) = match verb {
            // ERET P offset length path, ESTO A offset path
            "ERET" => {
                let words: Vec<_> = argument.splitn(4, |&byte| byte == b' ').collect();
                let [kind, offset, length, path] = words[..] else { return None };
                (kind.eq_ignore_ascii_case(b"P").then_some(path)?, Some((number(offset)?, number(length)?)))
            }
            "ESTO" => {
                let words: Vec<_> = argument.splitn(3, |&byte| byte == b' ').collect();
                let [kind, offset, path] = words[..] else { return None };
                (kind.eq_ignore_ascii_case(b"A").then_some(path)?, Some((number(offset)?, u64::MAX)))
            }
            // Options, as `ls` has them.
            "LIST" | "NLST" if argument.starts_with(b"-") => {
                let at = argument.iter().position(|&byte| byte == b' ').map_or(argument.len(), |at| at + 1);
                (&argument[at..], None)
            }
            _ => (argument, None),
        };
        let path = if path.is_empty() { normal(&self.folder) } else { self.path(path) };
        Some(Wanted { path, part })
    }

    fn list(&self, verb: &str, path: &[u8]) -> Vec<u8> {
        if let Some(bytes) = self.stage.play.listings.get(path) {
            return bytes.clone();
        }
        let files = lock(&self.stage.files);
        match verb {
            "MLSD" => files.facts(path),
            "LIST" => files.long(path),
            _ => files
                .entries(path)
                .into_iter()
                .flat_map(|(name, _)| [name, b"\r\n".to_vec()].concat())
                .collect(),
        }
    }

    /// Gets the connections and says 150; tells whether there is a transfer.
    fn begin(&mut self, path: &[u8], sending: bool) -> io::Result<bool> {
        let act = self.stage.rules.take(Step::DataConnect, self.number, Some(path));
        match &act {
            None | Some(Act::Close | Act::Reset) => {}
            Some(Act::Delay(time)) => self.stage.pause(*time)?,
            Some(Act::Reply(bytes)) => {
                self.write(bytes)?;
                return Ok(false);
            }
            Some(Act::CloseControl | Act::ResetControl | Act::ReplyThenClose(_)) => {
                self.perform(act.unwrap_or(Act::CloseControl), "")?;
                return Ok(false);
            }
            Some(_) => return Err(self.hold()),
        }
        let usual = match self.open(sending) {
            Ok(true) => "125 Begining transfer; reusing existing data connection.",
            Ok(false) => "150 Opening data connection.",
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Err(error),
            Err(error) => {
                self.write(format!("425 Can't open data connection: {error}\r\n").as_bytes())?;
                return Ok(false);
            }
        };
        match act {
            Some(Act::Close) => self.close_channels(),
            Some(Act::Reset) => self.reset_channels(),
            _ => {}
        }
        self.say(Step::Accepted, Some(path), usual)?;
        Ok(true)
    }

    fn finish(&mut self, path: &[u8], went: Went) -> io::Result<()> {
        if !self.extended {
            // What a misdeed left open stays open.
            match went {
                Went::Unended => self.held.append(&mut self.channels),
                _ => self.channels.clear(),
            }
        }
        match went {
            Went::Unended => self.say(Step::Final, Some(path), "226 Transfer complete."),
            Went::Well => self.say(Step::Final, Some(path), "226 Transfer complete."),
            Went::Broke => {
                self.channels.clear();
                self.say(Step::Final, Some(path), "426 Data connection broke.")
            }
            Went::Said(bytes) => {
                self.channels.clear();
                self.write(&bytes)
            }
        }
    }

    fn close_channels(&mut self) {
        for channel in self.channels.drain(..) {
            close_in_order(&channel);
        }
    }

    fn reset_channels(&mut self) {
        for channel in self.channels.drain(..) {
            reset(&channel);
        }
    }

    /// What is done on the control channel, or with all data connections, in the middle of a transfer. `None` if the act is
    /// about the data itself.
    fn misdeed(&mut self, act: &Act) -> io::Result<Option<Next>> {
        Ok(Some(match act {
            Act::Silence => return Err(self.hold()),
            Act::Close => {
                self.close_channels();
                Next::Done
            }
            Act::Reset => {
                self.reset_channels();
                Next::Done
            }
            Act::Reply(bytes) => {
                self.close_channels();
                Next::Say(bytes.clone())
            }
            Act::ReplyThenClose(bytes) => {
                self.close_channels();
                self.write(bytes)?;
                close_in_order(&self.control);
                return Err(over());
            }
            Act::Before(bytes) | Act::After(bytes) => {
                self.write(bytes)?;
                Next::GoOn
            }
            Act::Delay(time) => {
                self.stage.pause(*time)?;
                Next::GoOn
            }
            Act::End => Next::End,
            Act::NoEnd | Act::Nothing => Next::Done,
            Act::CloseControl => {
                close_in_order(&self.control);
                Next::GoOn
            }
            Act::ResetControl => {
                // The session keeps its own owner of the socket, so this is as near to a reset as it gets before the end.
                reset(&self.control);
                return Err(over());
            }
            _ => return Ok(None),
        }))
    }
}
