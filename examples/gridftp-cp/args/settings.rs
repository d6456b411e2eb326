//! What is meant: every choice checked, and the choices together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gridftp::Credential;
use gridftp::options::{DataChannelAuth, ProtectionLevel, StripeLayout, Timeouts, TransferMode};
use gridftp::transfer::{
    Compare, Concurrency, Filter, Links, Overwrite, Preserve, RateLimit, Retry, Shard, Verify,
};

use super::options::{self, Old, Protect, Words};
use super::values::{self, Length, Sessions, Share};
use crate::duration::NEVER;
use crate::failure::Failure;
use crate::look::When;
use crate::shard;
use crate::stream::{Channels, Drivers, Part};

/// Largest piece that is read and sent at once.
const MAX_BLOCK: u64 = 1 << 20;

const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// What is to be copied.
#[derive(Debug)]
pub(crate) enum Input {
    /// Sources, and the destination.
    Places(Vec<OsString>, OsString),
    /// A list of pairs.
    List(PathBuf),
    /// Paths below a source, as listed.
    Below { from: OsString, to: OsString, list: PathBuf },
    /// Nothing: a folder is listed.
    Show(OsString),
}

/// Everything that was chosen.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) input: Input,
    pub(crate) null: bool,
    pub(crate) no_glob: bool,
    pub(crate) recursive: bool,
    pub(crate) or_from: Vec<OsString>,
    pub(crate) optional: bool,
    pub(crate) filter: Filter,
    pub(crate) links: Links,
    pub(crate) shard: Option<Shard>,
    pub(crate) part: Part,
    pub(crate) create_folders: bool,
    pub(crate) verify: Verify,
    pub(crate) overwrite: Overwrite,
    pub(crate) delete: bool,
    pub(crate) preserve: Preserve,
    pub(crate) fsync: bool,
    pub(crate) allocate: bool,
    pub(crate) resume: bool,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) retry: Retry,
    pub(crate) dumpfile: Option<PathBuf>,
    pub(crate) timeouts: Timeouts,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) concurrency: Concurrency,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) through_client: bool,
    pub(crate) channels: Channels,
    pub(crate) source: Login,
    pub(crate) dest: Login,
    pub(crate) relative_paths: bool,
    pub(crate) alias_file: Option<PathBuf>,
    pub(crate) dump_only: Option<PathBuf>,
    pub(crate) dry_run: bool,
    pub(crate) show: Show,
}

/// Who logs in at one end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Login {
    pub(crate) credential: Option<Credential>,
    pub(crate) subject: Option<String>,
    pub(crate) assertion: Option<Secret>,
}

/// What is shown to nobody.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is said, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) rates: bool,
    pub(crate) json: bool,
    pub(crate) explain: bool,
    pub(crate) progress: When,
    pub(crate) color: When,
    pub(crate) trace: bool,
}

pub(super) fn of(words: Words, filter: Filter) -> Result<Settings, Failure> {
    let timeouts = timeouts(&words)?;
    let retry = retry(&words);
    let part = part(&words)?;
    let overwrite = overwrite(&words)?;
    let verify = verify(&words)?;
    let channels = channels(&words)?;
    let (source, dest) = logins(&words)?;
    let shard = match words.shard {
        None => None,
        Some(Share::Of(shard)) => Some(shard),
        Some(Share::Slurm) => Some(shard::of_slurm(|name| std::env::var(name).ok()).map_err(Failure::usage)?),
    };
    let keep =
        words.preserve.or_else(|| words.old.copy_perms.then_some(values::Keep { mode: true, time: false }));
    let show = Show {
        quiet: words.quiet,
        verbose: words.verbose || words.verbose_perf,
        rates: words.verbose_perf,
        json: words.json,
        explain: words.explain,
        progress: words.progress,
        color: words.color,
        trace: words.debugftp,
    };
    let rate_limit = words.bwlimit.filter(|rate| *rate > 0).map(RateLimit::new).transpose();
    let rate_limit = rate_limit.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Settings {
        null: words.null,
        no_glob: words.no_glob,
        recursive: words.recursive,
        or_from: words.or_from.clone(),
        optional: words.optional,
        filter,
        links: match words.links {
            options::Links::Follow => Links::Follow,
            options::Links::Copy => Links::Copy,
            options::Links::Skip => Links::Skip,
        },
        shard,
        part,
        create_folders: words.create_dest,
        verify,
        overwrite,
        delete: words.delete,
        preserve: keep.map_or(Preserve::NONE, |keep| Preserve { mode: keep.mode, modified: keep.time }),
        fsync: words.fsync,
        allocate: !words.no_allocate,
        resume: words.resume,
        journal: words.journal.clone(),
        retry,
        dumpfile: words.dumpfile.clone(),
        timeouts,
        time_limit: words.timeout_total.filter(|limit| *limit < NEVER),
        concurrency: match words.concurrency {
            Sessions::Auto => Concurrency::Auto,
            Sessions::Fixed(sessions) => Concurrency::Fixed(sessions),
        },
        rate_limit,
        through_client: words.through_client,
        channels,
        source,
        dest,
        relative_paths: words.relative_paths,
        alias_file: words.alias_file.clone(),
        dump_only: words.dump_only.clone(),
        dry_run: words.dry_run,
        show,
        input: input(words)?,
    })
}

fn input(mut words: Words) -> Result<Input, Failure> {
    if let Some(url) = words.list {
        return Ok(Input::Show(url));
    }
    if let Some(list) = words.from_file {
        return Ok(Input::List(list));
    }
    let wanted = "expected SOURCE and DEST (see --help)";
    // A list of what is left takes the place of everything that was said on the command line.
    if let Some(list) = words.dumpfile.as_ref().filter(|list| list.exists()) {
        return Ok(Input::List(list.clone()));
    }
    let Some(to) = words.places.pop() else {
        return Err(Failure::usage(format!("nothing to copy: {wanted}")));
    };
    if words.places.is_empty() {
        return Err(Failure::usage(format!(
            "only one place was given, {}: {wanted}",
            Path::new(&to).display()
        )));
    }
    match words.files_from {
        Some(list) if words.places.len() == 1 => Ok(Input::Below { from: words.places.remove(0), to, list }),
        Some(_) => Err(Failure::usage("--files-from goes with one SOURCE and a DEST")),
        None => Ok(Input::Places(words.places, to)),
    }
}

fn timeouts(words: &Words) -> Result<Timeouts, Failure> {
    let mut timeouts = Timeouts::default();
    let from_environment = || {
        let text = std::env::var("GUC_STALL_TIMEOUT").ok()?;
        Some(
            crate::duration::limit(&text)
                .map_err(|error| Failure::usage(format!("GUC_STALL_TIMEOUT: {error}"))),
        )
    };
    let stall = match words.timeout_stall {
        Some(limit) => Some(limit),
        None => from_environment().transpose()?,
    };
    if let Some(limit) = stall {
        timeouts = timeouts.stall(limit).first_byte(limit).reply(limit).connect(limit.min(CONNECT_LIMIT));
    }
    if let Some(limit) = words.timeout_connect {
        timeouts = timeouts.connect(limit);
    }
    if let Some(limit) = words.timeout_reply {
        timeouts = timeouts.reply(limit);
    }
    if let Some(limit) = words.timeout_checksum {
        timeouts = timeouts.checksum(limit);
    }
    Ok(timeouts)
}

fn retry(words: &Words) -> Retry {
    let Old { rst_retries, rst_interval, .. } = words.old;
    let mut retry = Retry::default();
    let attempts = match (words.retries, rst_retries) {
        (Some(retries), _) => Some(retries + 1),
        (None, Some(0)) => Some(10_000),
        (None, Some(retries)) => Some(retries + 1),
        (None, None) => None,
    };
    if let Some(attempts) = attempts {
        retry = retry.attempts(attempts.min(10_000));
    }
    match (words.retry_delay, rst_interval.filter(|delay| !delay.is_zero())) {
        (Some(delay), _) => retry = retry.delay(delay, delay.max(Duration::from_secs(60))),
        (None, Some(delay)) => retry = retry.delay(delay, delay),
        (None, None) => {}
    }
    retry.within(words.retry_within.filter(|limit| *limit < NEVER))
}

fn part(words: &Words) -> Result<Part, Failure> {
    let length = words.partial_length.and_then(|Length(length)| length);
    let offset = words.partial_offset.unwrap_or(0);
    if length.is_some_and(|length| offset.checked_add(length).is_none_or(|end| i64::try_from(end).is_err())) {
        return Err(Failure::usage("the part given by -off and -len ends beyond 2^63 bytes"));
    }
    let partial = words.partial_offset.is_some() || length.is_some();
    if partial && (words.recursive || words.from_file.is_some()) {
        return Err(Failure::usage(
            "a part (-off, -len) is one of a single file; expected neither -r nor -f (a list has parts line by line)",
        ));
    }
    Ok(Part { offset, length, partial })
}

fn overwrite(words: &Words) -> Result<Overwrite, Failure> {
    let by_level = words.old.sync_level.map(|level| match level {
        0 => Overwrite::Never,
        1 => Overwrite::IfDifferent(Compare::Size),
        2 => Overwrite::IfDifferent(Compare::SizeOrOlder),
        _ => Overwrite::IfDifferent(Compare::Checksum),
    });
    if by_level.is_some() && words.overwrite != options::Overwrite::Always {
        return Err(Failure::usage("--overwrite and -sync-level say two things; expected one of them"));
    }
    if let Some(level) = by_level {
        return Ok(level);
    }
    Ok(match (words.sync, words.overwrite) {
        (Some(values::Compare::Size), _) => Overwrite::IfDifferent(Compare::Size),
        (Some(values::Compare::Time), _) => Overwrite::IfDifferent(Compare::SizeOrOlder),
        (Some(values::Compare::Checksum), _) => Overwrite::IfDifferent(Compare::Checksum),
        (None, options::Overwrite::Always) => Overwrite::Always,
        (None, options::Overwrite::Never) => Overwrite::Never,
        (None, options::Overwrite::Different) => Overwrite::IfDifferent(Compare::SizeOrOlder),
    })
}

fn verify(words: &Words) -> Result<Verify, Failure> {
    let algorithm = words.old.checksum_alg.as_deref().map(values::algorithm).transpose();
    let algorithm = algorithm.map_err(Failure::usage)?;
    Ok(match (&words.verify.0, words.old.verify_checksum, algorithm) {
        (Verify::Size, true, Some(algorithm)) => Verify::ChecksumBy(algorithm),
        (Verify::Checksum, _, Some(algorithm)) => Verify::ChecksumBy(algorithm),
        (Verify::Size, true, None) => Verify::Checksum,
        (chosen, ..) => chosen.clone(),
    })
}

fn channels(words: &Words) -> Result<Channels, Failure> {
    let tcp_buffer = words.tcp_buffer_size.filter(|bytes| *bytes > 0).map(|bytes| {
        u32::try_from(bytes).map_err(|_| {
            Failure::usage(format!("a TCP buffer of {bytes} bytes is not possible, expected at most 1G"))
        })
    });
    let block_bytes = words.block_size.map(|bytes| match usize::try_from(bytes) {
        Ok(block) if (1..=MAX_BLOCK).contains(&bytes) => Ok(block),
        _ => Err(Failure::usage(format!("blocks of {bytes} bytes are not possible, expected 1 to 1M"))),
    });
    let layout = match words.striped_block_size {
        None => StripeLayout::Default,
        Some(0) => StripeLayout::Partitioned,
        Some(bytes) => match u32::try_from(bytes) {
            Ok(block_bytes) if (1024..=1 << 30).contains(&block_bytes) => {
                StripeLayout::Blocked { block_bytes }
            }
            _ => {
                return Err(Failure::usage(format!(
                    "stripes that take turns after {bytes} bytes are not possible, expected 1K to 1G, or 0"
                )));
            }
        },
    };
    let parallelism = words.parallel.unwrap_or(0);
    let extended = words.fast || parallelism > 0;
    let protection = match words.protect {
        Some(Protect::Clear) => ProtectionLevel::Clear,
        Some(Protect::Safe) => ProtectionLevel::Safe,
        Some(Protect::Private) => ProtectionLevel::Private,
        None if words.dcpriv => ProtectionLevel::Private,
        None if words.dcsafe => ProtectionLevel::Safe,
        None => ProtectionLevel::Clear,
    };
    if protection != ProtectionLevel::Clear && words.nodcau {
        return Err(Failure::usage("--nodcau and a protection cannot be had together; expected one of them"));
    }
    Ok(Channels {
        mode: match (extended, words.ascii) {
            (true, _) => TransferMode::ExtendedBlock,
            (false, true) => TransferMode::Stream,
            (false, false) => TransferMode::Auto,
        },
        parallelism: parallelism.max(1),
        tcp_buffer: tcp_buffer.transpose()?,
        block_bytes: block_bytes.transpose()?,
        dcau: if words.nodcau { DataChannelAuth::None } else { DataChannelAuth::Auto },
        protection,
        ascii: words.ascii,
        striped: words.stripe,
        layout,
        delayed_passive: words.delayed_pasv,
        data_credential: words.data_cred.as_deref().map(data_credential).transpose()?,
        source: drivers(
            [&words.source_data_channel_stack, &words.data_channel_stack],
            [&words.source_file_system_stack, &words.file_system_stack],
            [&words.source_pipe, &words.pipe],
            [&words.source_module_name, &words.module_name],
            [&words.source_module_parameters, &words.module_parameters],
            words.udt,
        )?,
        dest: drivers(
            [&words.dest_data_channel_stack, &words.data_channel_stack],
            [&words.dest_file_system_stack, &words.file_system_stack],
            [&words.dest_pipe, &words.pipe],
            [&words.dest_module_name, &words.module_name],
            [&words.dest_module_parameters, &words.module_parameters],
            words.udt,
        )?,
    })
}

/// Of each pair the first is of this side, and goes before that of both.
fn drivers(
    net: [&Option<String>; 2],
    disk: [&Option<String>; 2],
    pipe: [&Option<String>; 2],
    name: [&Option<String>; 2],
    parameters: [&Option<String>; 2],
    udt: bool,
) -> Result<Drivers, Failure> {
    let first = |pair: [&Option<String>; 2]| pair.into_iter().flatten().next().cloned();
    let stack = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let net_stack = first(net).map(stack).or_else(|| udt.then(|| vec!["udt".to_owned()]));
    let pipe = first(pipe).map(|command| popen(&command)).transpose()?;
    let module = match (first(name), first(parameters)) {
        (Some(name), parameters) => Some((name, parameters.unwrap_or_default())),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Failure::usage(
                "parameters of a storage module without its name; expected -mn, -smn or -dmn",
            ));
        }
    };
    let disk_stack = match &pipe {
        Some(driver) => Some(vec![driver.clone()]),
        None => first(disk).map(stack),
    };
    let runs = disk_stack.iter().flatten().any(|driver| driver.starts_with("popen"));
    Ok(Drivers { net_stack, disk_stack, module, program: runs })
}

/// The driver that runs a program: its words with a character between them that none of them has.
fn popen(command: &str) -> Result<String, Failure> {
    let words: Vec<_> = command.split_whitespace().collect();
    if words.is_empty() || command.contains(',') {
        return Err(Failure::usage(format!(
            "\"{command}\" is no program for a server to run, expected its path and arguments without commas"
        )));
    }
    let Some(between) = "#$^*!|%&()'{}".chars().find(|c| !command.contains(*c)) else {
        return Err(Failure::usage(format!(
            "\"{command}\" cannot be told to a server: expected one of #$^*!|%&()'{{}} not to be in it"
        )));
    };
    let mut driver = "popen:argv=".to_owned();
    for word in words {
        driver.push(between);
        driver.push_str(word);
    }
    Ok(driver)
}

fn data_credential(path: &Path) -> Result<Credential, Failure> {
    if path.as_os_str() == "auto" {
        return Err(Failure::usage(
            "-data-cred auto: a credential that is made for one transfer is not to be had; expected a proxy file",
        ));
    }
    Ok(Credential::from_proxy_file(path))
}

/// Of what was given for one side, for both.
fn logins(words: &Words) -> Result<(Login, Login), Failure> {
    let login = |cred: &Option<PathBuf>, subject: &Option<String>, assertion: &Option<PathBuf>| {
        let path = cred.as_ref().or(words.cred.as_ref());
        let assertion = assertion.as_ref().or(words.authz_assert.as_ref());
        Ok::<_, Failure>(Login {
            credential: path.map(Credential::from_proxy_file),
            subject: subject.clone().or_else(|| words.subject.clone()),
            assertion: assertion.map(|path| read_assertion(path)).transpose()?,
        })
    };
    Ok((
        login(&words.source_cred, &words.source_subject, &words.source_authz_assert)?,
        login(&words.dest_cred, &words.dest_subject, &words.dest_authz_assert)?,
    ))
}

fn read_assertion(path: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::local(format!("cannot read the assertion {}", path.display()), error))?;
    Ok(Secret(text.trim_end().to_owned()))
}
