//! What ended a copy, and how it is told.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use gridftp::{Error, Phase};

use crate::exit::Code;
use crate::signals::Caught;

/// Which of the two ends a failure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Why there is no copy.
#[derive(Debug)]
pub(crate) struct Failure {
    end: Option<End>,
    cause: Cause,
    /// What the user should know besides: an incomplete file that could not be removed.
    notes: Vec<String>,
}

#[derive(Debug)]
enum Cause {
    Usage(String),
    Remote(Error),
    Local {
        doing: String,
        error: io::Error,
    },
    /// Bytes are missing or too many, or the source is not what it was.
    Integrity(String),
    /// Something of another kind stands where a file should.
    InTheWay(String),
    /// Of a class that the program says itself.
    Told(Code, String),
    Signal(Caught),
    BrokenPipe,
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { end: None, cause, notes: Vec::new() }
    }
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Cause::Usage(message.into()).into()
    }

    pub(crate) fn remote(end: impl Into<Option<End>>, error: Error) -> Self {
        Self { end: end.into(), ..Cause::Remote(error).into() }
    }

    pub(crate) fn local(doing: impl Into<String>, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Cause::BrokenPipe.into();
        }
        Cause::Local { doing: doing.into(), error }.into()
    }

    pub(crate) fn integrity(message: impl Into<String>) -> Self {
        Cause::Integrity(message.into()).into()
    }

    pub(crate) fn in_the_way(message: impl Into<String>) -> Self {
        Cause::InTheWay(message.into()).into()
    }

    /// A failure whose class is known, without an error of the library behind it.
    #[allow(dead_code, reason = "not every program has such")]
    pub(crate) fn told(code: Code, message: impl Into<String>) -> Self {
        Cause::Told(code, message.into()).into()
    }

    /// A defect of the program.
    #[allow(dead_code, reason = "not every program has such")]
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::told(Code::Other, message)
    }

    pub(crate) fn signal(caught: Caught) -> Self {
        Cause::Signal(caught).into()
    }

    /// A thread of this program is gone, which happens only while the program ends.
    pub(crate) fn interrupted() -> Self {
        Self::local("the copy was interrupted", io::ErrorKind::Interrupted.into())
    }

    /// Whether it was ended from outside, and nothing is wrong with it.
    #[allow(dead_code, reason = "not every program has many things to do at once")]
    pub(crate) fn is_signal(&self) -> bool {
        matches!(self.cause, Cause::Signal(_))
    }

    pub(crate) fn at(mut self, end: End) -> Self {
        self.end.get_or_insert(end);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn code(&self) -> Code {
        match &self.cause {
            Cause::Usage(_) => Code::Usage,
            Cause::Remote(error) => Code::of_kind(error.kind()),
            Cause::Local { error, .. } => Code::of_io(error),
            Cause::Integrity(_) => Code::Integrity,
            Cause::InTheWay(_) => Code::InTheWay,
            Cause::Told(code, _) => *code,
            Cause::Signal(caught) => caught.code(),
            Cause::BrokenPipe => Code::BrokenPipe,
        }
    }

    /// The error of the library behind it.
    #[allow(dead_code, reason = "not every program has such")]
    pub(crate) fn error(&self) -> Option<&Error> {
        match &self.cause {
            Cause::Remote(error) => Some(error),
            _ => None,
        }
    }

    /// The end it belongs to, in a word.
    #[allow(dead_code, reason = "not every program has such")]
    pub(crate) fn side(&self) -> Option<&'static str> {
        match self.end {
            Some(End::Source) => Some("source"),
            Some(End::Destination) => Some("destination"),
            None => None,
        }
    }

    /// One line for the user: what failed, where, what the server said, whether trying again may help. None where the one
    /// who would read it knows already: a broken pipe.
    pub(crate) fn line(&self) -> Option<String> {
        let mut text = String::new();
        match &self.cause {
            Cause::BrokenPipe => {}
            Cause::Usage(message)
            | Cause::Integrity(message)
            | Cause::InTheWay(message)
            | Cause::Told(_, message) => {
                text.push_str(message);
            }
            Cause::Local { doing, error } => {
                let _ = write!(text, "{doing}: {error}");
            }
            Cause::Signal(caught) => {
                let _ = write!(text, "ended by {}", caught.name());
            }
            Cause::Remote(error) => {
                let _ = write!(text, "{error}");
                let mut source = error.source();
                while let Some(inner) = source {
                    let words = inner.to_string();
                    if !text.contains(&words) {
                        let _ = write!(text, ": {words}");
                    }
                    source = inner.source();
                }
            }
        }
        let about = self.about();
        if !text.is_empty() && !about.is_empty() {
            let _ = write!(text, " ({about})");
        }
        for note in &self.notes {
            let _ = write!(text, "{}{note}", if text.is_empty() { "" } else { "; " });
        }
        (!text.is_empty()).then(|| one_line(&text))
    }

    /// Side, phase, and whether a second try makes sense.
    fn about(&self) -> String {
        let mut parts = Vec::new();
        match self.end {
            Some(End::Source) => parts.push("source"),
            Some(End::Destination) => parts.push("destination"),
            None => {}
        }
        if let Cause::Remote(error) = &self.cause {
            parts.push(match error.phase() {
                Phase::Input => "before anything was sent",
                Phase::Credential => "reading the credential",
                Phase::Resolve => "looking up the host",
                Phase::Connect => "connecting",
                Phase::Login => "logging in",
                Phase::Command => "asking the server",
                Phase::DataSetup => "setting up data channels",
                Phase::Data => "moving data",
                Phase::Completion => "waiting for the server's confirmation",
                Phase::Verify => "comparing sizes",
                _ => "local files",
            });
            if error.may_have_applied() {
                parts.push("the server may have done it all the same");
            }
            parts.push(if error.is_transient() {
                "trying again may help"
            } else {
                "trying again will not help"
            });
        }
        parts.join(", ")
    }
}

/// Without line ends and whatever else would play with a terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
