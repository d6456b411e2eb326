//! The options as clap sees them, in groups by what one wants to do. What they mean stands in their help; how they go together
//! is decided in `settings`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

use super::values::{Compare, Keep, Length, Sessions, Share, VerifyBy};
use crate::duration;
use crate::look::When;
use crate::size;

const WHAT: &str = "What to copy";
const HOW: &str = "What the copies are to be";
const WRONG: &str = "When something goes wrong";
const LIMITS: &str = "How long to wait (TIME: 30, 30s, 5m, 2h; 0 for no limit)";
const SPEED: &str = "Speed (found without these)";
const WHO: &str = "Who and how safe";
const SHOWN: &str = "What is shown";
const SERVER: &str = "What servers are to load";

#[derive(Debug, Parser)]
#[command(name = "gridftp-cp", version, disable_help_flag = true, disable_version_flag = true)]
#[command(about = super::help::ABOUT, override_usage = super::help::USAGE, after_help = super::help::NOTES, max_term_width = 110)]
#[command(help_template = "{about}\n\nUsage: {usage}\n\n{all-args}\n{after-help}")]
pub(crate) struct Words {
    /// Where it comes from and, last, where it goes to
    #[arg(value_name = "SOURCE... DEST", hide = true)]
    pub(crate) places: Vec<OsString>,

    /// Folders with everything below them
    #[arg(short = 'r', long, help_heading = WHAT)]
    pub(crate) recursive: bool,
    /// -f: many copies, as FILE lists them (- for standard input): lines of SOURCE DEST, or JSON lines
    #[arg(short = 'f', long, value_name = "FILE", help_heading = WHAT, conflicts_with = "places")]
    pub(crate) from_file: Option<PathBuf>,
    /// Of SOURCE only the paths below it that FILE has line by line (- for standard input)
    #[arg(long, value_name = "FILE", help_heading = WHAT, conflicts_with = "from_file")]
    pub(crate) files_from: Option<PathBuf>,
    /// The lists are separated by NUL, not by lines
    #[arg(short = '0', long, help_heading = WHAT)]
    pub(crate) null: bool,
    /// Only files that match: *.root, run/**/x, [a-f]?; with --exclude, the first that matches decides
    #[arg(long, value_name = "PATTERN", help_heading = WHAT)]
    pub(crate) include: Vec<String>,
    /// Not what matches, nor what is below it
    #[arg(long, value_name = "PATTERN", help_heading = WHAT)]
    pub(crate) exclude: Vec<String>,
    /// Symbolic links in trees
    #[arg(long, value_name = "HOW", default_value = "follow", help_heading = WHAT)]
    pub(crate) links: Links,
    /// Characters like * and [ in a source's name are no pattern
    #[arg(long, help_heading = WHAT)]
    pub(crate) no_glob: bool,
    /// Another place that has the same files, for what cannot be had from the first
    #[arg(long, value_name = "URL", help_heading = WHAT)]
    pub(crate) or_from: Vec<OsString>,
    /// It is no failure that a source is not there
    #[arg(long, help_heading = WHAT)]
    pub(crate) optional: bool,
    /// Only the share I of N, from 0 on, of all files: for N processes that divide the work. Without a
    /// value, the share of this task of a Slurm array or step
    #[arg(long, value_name = "I/N", num_args = 0..=1, require_equals = true, default_missing_value = "slurm", help_heading = WHAT)]
    pub(crate) shard: Option<Share>,
    /// -off: from this byte on, to the same place in the destination, of which the rest is kept
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, help_heading = WHAT)]
    pub(crate) partial_offset: Option<u64>,
    /// -len: at most so many bytes; -1 for all
    #[arg(long, value_name = "SIZE", value_parser = Length::parse, allow_hyphen_values = true, help_heading = WHAT)]
    pub(crate) partial_length: Option<Length>,

    /// -cd: make the destination's folders where they are missing
    #[arg(long, help_heading = HOW)]
    pub(crate) create_dest: bool,
    /// What must be right before a copy gets its name: size, checksum, or an algorithm like SHA256
    #[arg(long, value_name = "WHAT", default_value = "size", help_heading = HOW)]
    pub(crate) verify: VerifyBy,
    /// Only what is missing or differs: by size, by time (the default: size, or older), or by checksum
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "time", help_heading = HOW)]
    pub(crate) sync: Option<Compare>,
    /// What becomes of files that are there already
    #[arg(long, value_name = "WHEN", default_value = "always", help_heading = HOW, conflicts_with = "sync")]
    pub(crate) overwrite: Overwrite,
    /// Delete in the destination what the source does not have, at the end and if nothing failed
    #[arg(long, requires = "recursive", help_heading = HOW)]
    pub(crate) delete: bool,
    /// Keep permissions and times, or one of them
    #[arg(long, value_name = "mode,time", num_args = 0..=1, require_equals = true, default_missing_value = "mode,time", help_heading = HOW)]
    pub(crate) preserve: Option<Keep>,
    /// Have local copies on the disk before they get their names
    #[arg(long, help_heading = HOW)]
    pub(crate) fsync: bool,
    /// -a: as text, with the line ends of each side
    #[arg(long, help_heading = HOW, conflicts_with_all = ["parallel", "fast", "stripe"])]
    pub(crate) ascii: bool,

    /// Remember what is done, so that the same command goes on where it was ended
    #[arg(long, help_heading = WRONG)]
    pub(crate) resume: bool,
    /// The same, remembered in FILE; in a folder of that name where there are several copies
    #[arg(long, value_name = "FILE", help_heading = WRONG)]
    pub(crate) journal: Option<PathBuf>,
    /// How often a file is tried again that failed for a reason that may pass [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..10_000), help_heading = WRONG)]
    pub(crate) retries: Option<u32>,
    /// The pause before that; each further one is twice as long [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::duration, help_heading = WRONG)]
    pub(crate) retry_delay: Option<Duration>,
    /// Not later than so long after a file's first failure
    #[arg(long, value_name = "TIME", value_parser = duration::limit, help_heading = WRONG)]
    pub(crate) retry_within: Option<Duration>,
    /// -df: at the end FILE lists what was not copied, for -f; if it exists, it says what is to be copied
    #[arg(long, value_name = "FILE", help_heading = WRONG, conflicts_with = "files_from")]
    pub(crate) dumpfile: Option<PathBuf>,

    /// Until a connection stands and the login is done [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration::limit, help_heading = LIMITS)]
    pub(crate) timeout_connect: Option<Duration>,
    /// Until a server answers a command [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration::limit, help_heading = LIMITS)]
    pub(crate) timeout_reply: Option<Duration>,
    /// -st: while nothing moves, or a server does not answer [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration::limit, help_heading = LIMITS)]
    pub(crate) timeout_stall: Option<Duration>,
    /// Until a server has computed a checksum [default: 6h]
    #[arg(long, value_name = "TIME", value_parser = duration::limit, help_heading = LIMITS)]
    pub(crate) timeout_checksum: Option<Duration>,
    /// -t: for all of it [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration::limit, help_heading = LIMITS)]
    pub(crate) timeout_total: Option<Duration>,

    /// -cc: sessions at the same time; auto takes as many as make it faster
    #[arg(long, value_name = "N", default_value = "auto", help_heading = SPEED)]
    pub(crate) concurrency: Sessions,
    /// -p: data connections for each file and session, up to 256; from 1 on, in extended block mode
    #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256), help_heading = SPEED)]
    pub(crate) parallel: Option<u16>,
    /// Extended block mode
    #[arg(long, help_heading = SPEED)]
    pub(crate) fast: bool,
    /// At most so many bytes a second in all, like 10M
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, help_heading = SPEED)]
    pub(crate) bwlimit: Option<u64>,
    /// -tcp-bs: TCP buffers at both ends; else the kernels choose, and mostly better
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, help_heading = SPEED)]
    pub(crate) tcp_buffer_size: Option<u64>,
    /// -bs: blocks that are read and sent of standard streams, pipes and parts, up to 1M
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, help_heading = SPEED)]
    pub(crate) block_size: Option<u64>,
    /// -notpt: what goes from server to server goes through this machine
    #[arg(long, help_heading = SPEED)]
    pub(crate) through_client: bool,
    /// Let servers use several data nodes at once
    #[arg(long, help_heading = SPEED)]
    pub(crate) stripe: bool,
    /// -sbs: the blocks in which stripes take turns; 0 for one part of the file each
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, help_heading = SPEED)]
    pub(crate) striped_block_size: Option<u64>,

    /// The proxy, or certificate and key, to log in with, instead of the one that is found
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) cred: Option<PathBuf>,
    /// -sc: the same for the source alone
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) source_cred: Option<PathBuf>,
    /// -dc: the same for the destination alone
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) dest_cred: Option<PathBuf>,
    /// The credential that servers use on data channels (DCSC), key included: they can act as you with it
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) data_cred: Option<PathBuf>,
    /// -s: the distinguished name both servers must have, instead of their hosts'
    #[arg(long, value_name = "DN", help_heading = WHO)]
    pub(crate) subject: Option<String>,
    /// -ss: the same for the source alone
    #[arg(long, value_name = "DN", help_heading = WHO)]
    pub(crate) source_subject: Option<String>,
    /// -ds: the same for the destination alone
    #[arg(long, value_name = "DN", help_heading = WHO)]
    pub(crate) dest_subject: Option<String>,
    /// How data is protected on its way; an error where that cannot be had
    #[arg(long, value_name = "HOW", help_heading = WHO, conflicts_with_all = ["dcsafe", "dcpriv"])]
    pub(crate) protect: Option<Protect>,
    /// No authentication on data channels
    #[arg(long, help_heading = WHO)]
    pub(crate) nodcau: bool,
    /// --protect safe
    #[arg(long, help_heading = WHO, conflicts_with_all = ["nodcau", "dcpriv"])]
    pub(crate) dcsafe: bool,
    /// --protect private
    #[arg(long, help_heading = WHO, conflicts_with = "nodcau")]
    pub(crate) dcpriv: bool,
    /// -aa: what an authorization service said about you, for both servers
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) authz_assert: Option<PathBuf>,
    /// -saa: the same for the source
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) source_authz_assert: Option<PathBuf>,
    /// -daa: the same for the destination
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) dest_authz_assert: Option<PathBuf>,
    /// -rp: paths in URLs begin at the folder of the login; %2F in front for the root
    #[arg(long, help_heading = WHO)]
    pub(crate) relative_paths: bool,
    /// -af: hosts that take turns for every @source, and for every @destination
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub(crate) alias_file: Option<PathBuf>,

    /// -do: change nothing; FILE (- for standard output) lists what would be copied
    #[arg(long, value_name = "FILE", help_heading = SHOWN)]
    pub(crate) dump_only: Option<PathBuf>,
    /// Change nothing; say what would be copied, skipped and deleted
    #[arg(short = 'n', long, help_heading = SHOWN)]
    pub(crate) dry_run: bool,
    /// Copy nothing; list the folder, or the file
    #[arg(long, value_name = "URL", help_heading = SHOWN)]
    pub(crate) list: Option<OsString>,
    /// Nothing but errors
    #[arg(short = 'q', long, help_heading = SHOWN)]
    pub(crate) quiet: bool,
    /// Say what is copied, and a summary at the end
    #[arg(short = 'v', long, conflicts_with = "quiet", help_heading = SHOWN)]
    pub(crate) verbose: bool,
    /// -vb: the same, and bytes and rate each second
    #[arg(long, conflicts_with = "quiet", help_heading = SHOWN)]
    pub(crate) verbose_perf: bool,
    /// At the end: what kept each copy from being faster, how that is known, and what was chosen
    #[arg(long, help_heading = SHOWN)]
    pub(crate) explain: bool,
    /// How far it is: a picture on a terminal, else a line each 10 s
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = SHOWN)]
    pub(crate) progress: When,
    /// Everything that happens as JSON lines on standard output
    #[arg(long, conflicts_with_all = ["verbose", "verbose_perf", "quiet"], help_heading = SHOWN)]
    pub(crate) json: bool,
    /// Colours; NO_COLOR is heard
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = SHOWN)]
    pub(crate) color: When,
    /// -dbg: what is said on control channels, without passwords
    #[arg(long, help_heading = SHOWN)]
    pub(crate) debugftp: bool,
    /// This text
    #[arg(short = 'h', long, action = ArgAction::HelpShort, help_heading = SHOWN)]
    pub(crate) help: Option<bool>,
    /// This program's version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = SHOWN)]
    pub(crate) version: Option<bool>,

    /// -dcstack: network drivers of both servers, the transport first, with commas between
    #[arg(long, value_name = "DRIVERS", help_heading = SERVER)]
    pub(crate) data_channel_stack: Option<String>,
    /// -src-dcstack: the same for the source alone
    #[arg(long, value_name = "DRIVERS", help_heading = SERVER)]
    pub(crate) source_data_channel_stack: Option<String>,
    /// -dst-dcstack: the same for the destination alone
    #[arg(long, value_name = "DRIVERS", help_heading = SERVER)]
    pub(crate) dest_data_channel_stack: Option<String>,
    /// -udt: data over UDT, between servers that have its driver
    #[arg(long, help_heading = SERVER, conflicts_with = "data_channel_stack")]
    pub(crate) udt: bool,
    /// -fsstack: disk drivers of both servers, the lowest first
    #[arg(long, value_name = "DRIVERS", help_heading = SERVER)]
    pub(crate) file_system_stack: Option<String>,
    /// -src-fsstack: the same for the source alone
    #[arg(long, value_name = "DRIVERS", help_heading = SERVER)]
    pub(crate) source_file_system_stack: Option<String>,
    /// -dst-fsstack: the same for the destination alone
    #[arg(long, value_name = "DRIVERS", help_heading = SERVER)]
    pub(crate) dest_file_system_stack: Option<String>,
    /// -P: what this program of the server prints is copied, or what is copied is its input
    #[arg(long, value_name = "COMMAND", help_heading = SERVER, conflicts_with = "file_system_stack")]
    pub(crate) pipe: Option<String>,
    /// -SP: the same for the source alone
    #[arg(long, value_name = "COMMAND", help_heading = SERVER, conflicts_with = "source_file_system_stack")]
    pub(crate) source_pipe: Option<String>,
    /// -DP: the same for the destination alone
    #[arg(long, value_name = "COMMAND", help_heading = SERVER, conflicts_with = "dest_file_system_stack")]
    pub(crate) dest_pipe: Option<String>,
    /// -mn: the storage module of both servers
    #[arg(long, value_name = "NAME", help_heading = SERVER)]
    pub(crate) module_name: Option<String>,
    /// -mp: its parameters
    #[arg(long, value_name = "TEXT", help_heading = SERVER)]
    pub(crate) module_parameters: Option<String>,
    /// -smn: the storage module of the source
    #[arg(long, value_name = "NAME", help_heading = SERVER)]
    pub(crate) source_module_name: Option<String>,
    /// -smp: its parameters
    #[arg(long, value_name = "TEXT", help_heading = SERVER)]
    pub(crate) source_module_parameters: Option<String>,
    /// -dmn: the storage module of the destination
    #[arg(long, value_name = "NAME", help_heading = SERVER)]
    pub(crate) dest_module_name: Option<String>,
    /// -dmp: its parameters
    #[arg(long, value_name = "TEXT", help_heading = SERVER)]
    pub(crate) dest_module_parameters: Option<String>,
    /// -dp: a server may say only when it knows the file where it listens
    #[arg(long, help_heading = SERVER)]
    pub(crate) delayed_pasv: bool,
    /// -no-allo: servers are not told how much room a file needs
    #[arg(long, help_heading = SERVER)]
    pub(crate) no_allocate: bool,

    #[command(flatten)]
    pub(crate) old: Old,
}

/// What `globus-url-copy` needs to be told and this program does anyway, and its other spellings.
#[derive(Debug, clap::Args)]
pub(crate) struct Old {
    /// For `cargo xtask docs`.
    #[arg(long, hide = true, exclusive = true)]
    pub(crate) generate: Option<crate::generate::What>,
    #[arg(long, hide = true)]
    pub(crate) versions: bool,
    #[arg(long, hide = true)]
    pub(crate) continue_on_error: bool,
    #[arg(long, hide = true, conflicts_with = "ascii")]
    pub(crate) binary: bool,
    #[arg(long, hide = true)]
    pub(crate) restart: bool,
    /// How often in all; 0 for ever.
    #[arg(long, hide = true, value_parser = clap::value_parser!(u32).range(0..10_000))]
    pub(crate) rst_retries: Option<u32>,
    /// Between attempts; 0 for doubling.
    #[arg(long, hide = true, value_parser = duration::duration)]
    pub(crate) rst_interval: Option<Duration>,
    #[arg(long, hide = true)]
    pub(crate) ipv6: bool,
    #[arg(long, hide = true)]
    pub(crate) gridftp2: bool,
    #[arg(long, hide = true)]
    pub(crate) no_gridftp2: bool,
    #[arg(long, hide = true)]
    pub(crate) cache_authz_assert: bool,
    #[arg(long, hide = true)]
    pub(crate) pipeline: bool,
    #[arg(long, hide = true)]
    pub(crate) pipeline_queue: Option<u32>,
    #[arg(long, hide = true, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub(crate) sync_level: Option<u8>,
    #[arg(long, hide = true)]
    pub(crate) checksum_alg: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) verify_checksum: bool,
    #[arg(long, hide = true, conflicts_with = "no_allocate")]
    pub(crate) allocate: bool,
    #[arg(long, hide = true)]
    pub(crate) copy_perms: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Links {
    /// What they lead to is copied in their place
    Follow,
    /// They are made anew
    Copy,
    /// They are left out, and counted
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Overwrite {
    /// They are replaced, once the new ones are whole
    Always,
    /// They stay
    Never,
    /// They are replaced if size or time say that they differ
    Different,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protect {
    /// As it is
    Clear,
    /// Signed
    Safe,
    /// Signed and encrypted
    Private,
}
