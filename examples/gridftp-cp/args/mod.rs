//! From words to settings, in two stages: [`Words`] is what was typed, [`Settings`] is what is meant, checked as a whole.

pub(crate) mod words;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use gridftp::options::{DataChannelAuth, ProtectionLevel, Timeouts, TransferMode};

use crate::exit;
use crate::failure::Failure;
use crate::location::Location;
use crate::size;

const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A limit that nobody lives to see.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

const ABOUT: &str = "\
Copies one file: from a GridFTP or FTP server to a local file or standard output, the other way
round, between two servers, or between two local files.";

/// What stands below the options in the help.
const NOTES: &str = "\
SOURCE and DEST are ftp:// or gsiftp:// URLs, file:// URLs, paths, or - for standard input and
output. A DEST that ends with / or is a folder gets the source's file name.

The copy is written under a temporary name in the destination's folder, and renamed when it is
complete and has the announced size. Devices and pipes are written directly, and so is a part
(-off, -len) of a file that exists. What a failure or a signal leaves incomplete is removed.

Options of globus-url-copy keep their meaning, with one dash or two. SIZE is a number of bytes,
or one with K, M, G or T behind it (powers of 1024).
";

#[derive(Debug, Parser)]
#[command(name = "gridftp-cp", version, about = ABOUT, disable_help_flag = true, disable_version_flag = true)]
#[command(override_usage = "gridftp-cp [OPTIONS] SOURCE DEST")]
#[command(help_template = "{about}\n\nUsage: {usage}\n\n{options}\n{after-help}", after_help = NOTES)]
struct Words {
    /// Where the file is
    #[arg(value_name = "SOURCE")]
    source: OsString,
    /// Where the copy goes
    #[arg(value_name = "DEST")]
    dest: OsString,

    /// -p: data connections in parallel, up to 256; from 1 on, in extended block mode
    #[arg(short = 'p', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=256))]
    parallel: u16,
    /// -fast: extended block mode
    #[arg(long)]
    fast: bool,
    /// -tcp-bs: TCP buffers at both ends; else the kernels choose, and mostly better
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    tcp_buffer_size: Option<u64>,
    /// -bs: blocks that are read from a local file and sent, up to 1M [default: 512K];
    /// what comes from a server gets the memory of eight of them [default: 256K]
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, verbatim_doc_comment)]
    block_size: Option<u64>,
    /// -off: copy from this byte on, to the same place in the destination, of which the
    /// rest is kept where it exists
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, verbatim_doc_comment)]
    partial_offset: Option<u64>,
    /// -len: copy at most so many bytes; -1 for all
    #[arg(long, value_name = "SIZE", value_parser = length, allow_hyphen_values = true)]
    partial_length: Option<Length>,
    /// -cd: make the destination's folders where they are missing
    #[arg(long)]
    create_dest: bool,
    /// -st: give up when nothing has moved, or a server has not answered, for so many
    /// seconds; 0 for never [default: 60]
    #[arg(long, value_name = "SECONDS", verbatim_doc_comment)]
    stall_timeout: Option<u64>,
    /// Flush a local copy to the disk before it gets its name
    #[arg(long)]
    fsync: bool,

    /// -s: the distinguished name both servers must have, instead of their hosts'
    #[arg(long, value_name = "DN")]
    subject: Option<String>,
    /// -ss: the same for the source alone
    #[arg(long, value_name = "DN")]
    source_subject: Option<String>,
    /// -ds: the same for the destination alone
    #[arg(long, value_name = "DN")]
    dest_subject: Option<String>,
    /// -nodcau: no authentication on data channels
    #[arg(long)]
    nodcau: bool,
    /// -dcsafe: sign the data on its way; fails where that cannot be had
    #[arg(long, conflicts_with_all = ["nodcau", "dcpriv"])]
    dcsafe: bool,
    /// -dcpriv: encrypt the data on its way; fails where that cannot be had
    #[arg(long, conflicts_with = "nodcau")]
    dcpriv: bool,

    /// -q: no progress bar, nothing but errors
    #[arg(short = 'q', long)]
    quiet: bool,
    /// -v: say what is copied
    #[arg(short = 'v', long, conflicts_with = "quiet")]
    verbose: bool,
    /// -vb: the same, and the number of bytes and the rate while it goes on
    #[arg(long, conflicts_with = "quiet")]
    verbose_perf: bool,
    /// -dbg: show what is said on control channels, on standard error
    #[arg(long)]
    debugftp: bool,
    /// -help: this text
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// -version: this program's version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,

    /// Accepted, as it is always so (-b)
    #[arg(long, hide = true)]
    binary: bool,
    /// Accepted, as it is always so: what goes from server to server goes through this client (-notpt)
    #[arg(long, hide = true)]
    no_third_party_transfers: bool,
}

#[derive(Debug, Clone, Copy)]
struct Length(Option<u64>);

fn length(text: &str) -> Result<Length, String> {
    if text == "-1" { Ok(Length(None)) } else { size::bytes(text).map(|bytes| Length(Some(bytes))) }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    /// Print this: help, or the version.
    Show(String),
    Copy(Box<Settings>),
}

/// One copy, with everything that was chosen for it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) source: Location,
    pub(crate) dest: Location,
    pub(crate) mode: TransferMode,
    pub(crate) parallelism: u16,
    pub(crate) tcp_buffer: Option<u32>,
    pub(crate) block_bytes: Option<usize>,
    pub(crate) part: Part,
    pub(crate) create_folders: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) fsync: bool,
    pub(crate) source_subject: Option<String>,
    pub(crate) dest_subject: Option<String>,
    pub(crate) dcau: DataChannelAuth,
    pub(crate) protection: ProtectionLevel,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) rates: bool,
    pub(crate) trace: bool,
}

impl Settings {
    /// Whether a server has a part in it.
    pub(crate) fn is_remote(&self) -> bool {
        [&self.source, &self.dest].into_iter().any(|end| matches!(end, Location::Remote(_)))
    }
}

/// Which bytes of the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) length: Option<u64>,
    /// An offset or a length was given: what the destination holds beside them is kept.
    pub(crate) partial: bool,
}

/// Largest piece that is read and sent at once.
const MAX_BLOCK: u64 = 1 << 20;

/// What the command line asks for.
pub(crate) fn request(words: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let words = words::normalized(words).map_err(Failure::usage)?;
    match Words::try_parse_from(words) {
        Ok(words) => Ok(Request::Copy(Box::new(settings(words)?))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp => Ok(Request::Show(format!("{error}{}", codes()))),
            ErrorKind::DisplayVersion => Ok(Request::Show(format!("{}\n", error.to_string().trim_end()))),
            _ => Err(Failure::usage(shortened(&error.to_string()))),
        },
    }
}

/// What clap says, without its heading and its advice, in one line.
fn shortened(text: &str) -> String {
    let body = text.split("\n\nUsage:").next().unwrap_or(text);
    let words: Vec<&str> = body.trim_start_matches("error: ").split_whitespace().collect();
    let body = words.join(" ");
    let body = body.split(" For more information").next().unwrap_or(&body);
    format!("{body} (see --help)")
}

fn codes() -> String {
    let mut text = "\nExit codes:\n".to_owned();
    for (_, number, meaning) in exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {number:>3}  {meaning}");
    }
    text
}

fn settings(words: Words) -> Result<Settings, Failure> {
    let tcp_buffer = words.tcp_buffer_size.filter(|bytes| *bytes > 0).map(|bytes| {
        u32::try_from(bytes).map_err(|_| {
            Failure::usage(format!("a TCP buffer of {bytes} bytes is not possible, expected at most 1G"))
        })
    });
    let block_bytes = words.block_size.map(|bytes| match usize::try_from(bytes) {
        Ok(block) if (1..=MAX_BLOCK).contains(&bytes) => Ok(block),
        _ => Err(Failure::usage(format!("blocks of {bytes} bytes are not possible, expected 1 to 1M"))),
    });
    let length = words.partial_length.and_then(|Length(length)| length);
    let offset = words.partial_offset.unwrap_or(0);
    if length.is_some_and(|length| offset.checked_add(length).is_none_or(|end| i64::try_from(end).is_err())) {
        return Err(Failure::usage("the part given by -off and -len ends beyond 2^63 bytes"));
    }
    let stall =
        words.stall_timeout.map(|seconds| if seconds == 0 { NEVER } else { Duration::from_secs(seconds) });
    let mut timeouts = Timeouts::default();
    if let Some(limit) = stall {
        timeouts = timeouts.stall(limit).first_byte(limit).reply(limit).connect(limit.min(CONNECT_LIMIT));
    }
    let extended = words.fast || words.parallel > 0;
    Ok(Settings {
        source: Location::parse(&words.source)?.or_stdio("/dev/stdin"),
        dest: Location::parse(&words.dest)?.or_stdio("/dev/stdout"),
        mode: if extended { TransferMode::ExtendedBlock } else { TransferMode::Stream },
        parallelism: words.parallel.max(1),
        tcp_buffer: tcp_buffer.transpose()?,
        block_bytes: block_bytes.transpose()?,
        part: Part { offset, length, partial: words.partial_offset.is_some() || length.is_some() },
        create_folders: words.create_dest,
        timeouts,
        fsync: words.fsync,
        source_subject: words.source_subject.or_else(|| words.subject.clone()),
        dest_subject: words.dest_subject.or(words.subject),
        dcau: if words.nodcau { DataChannelAuth::None } else { DataChannelAuth::Auto },
        protection: match (words.dcsafe, words.dcpriv) {
            (_, true) => ProtectionLevel::Private,
            (true, false) => ProtectionLevel::Safe,
            (false, false) => ProtectionLevel::Clear,
        },
        quiet: words.quiet,
        verbose: words.verbose || words.verbose_perf,
        rates: words.verbose_perf,
        trace: words.debugftp,
    })
}
