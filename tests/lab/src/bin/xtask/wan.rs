//! A link with delay, rate and loss to try things over.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gridftp_lab::wan::{Conditions, End, Make, Wan};

/// Which link, and what to do with it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The link's name: several can be up
    #[arg(long, default_value = "wan", global = true)]
    name: String,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Brings it up; needs root
    Up {
        #[command(flatten)]
        like: Like,
        /// The congestion control of both ends
        #[arg(long, default_value = "cubic")]
        cc: String,
        /// The largest packet
        #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(576..))]
        mtu: u16,
        /// What losses are drawn with
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Changes it while connections stay
    Set {
        #[command(flatten)]
        like: Like,
    },
    /// What it is like, and what went through it
    Stat {
        /// Count from zero again
        #[arg(long)]
        reset: bool,
    },
    /// Runs a program at an end: a (10.77.0.1, clients) or b (10.77.0.2, servers)
    Exec {
        #[arg(value_parser = ["a", "b"])]
        end: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Takes it down, with everything that runs at its ends
    Down,
    /// The router itself
    #[command(hide = true)]
    Route { link: String, words: String, seed: u64 },
}

/// What a link is like.
#[derive(clap::Args)]
struct Like {
    /// The round trip, like 50ms
    #[arg(long)]
    rtt: Option<String>,
    /// Bits a second, like 1gbit; 0 for no limit
    #[arg(long)]
    rate: Option<String>,
    /// Segments that are lost, like 0.1%
    #[arg(long)]
    loss: Option<String>,
    /// Bytes that may wait at the bottleneck, like 8mib [default: what the link holds in a round trip]
    #[arg(long)]
    queue: Option<String>,
}

impl Like {
    fn words(&self) -> String {
        let all = [("rtt", &self.rtt), ("rate", &self.rate), ("loss", &self.loss), ("queue", &self.queue)];
        let given = all.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        given.collect::<Vec<_>>().join(" ")
    }
}

/// The command that routes, in a process of its own.
pub(crate) fn router() -> Command {
    let mut router = crate::step::this_program();
    router.args(["wan", "route"]);
    router
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let wan = Wan::named(&args.name)?;
    match &args.what {
        What::Up { like, cc, mtu, seed } => {
            let conditions = Conditions::default().changed(&like.words()).map_err(anyhow::Error::msg)?;
            let make = Make { congestion_control: cc.clone(), mtu: *mtu, seed: *seed };
            wan.up(&conditions, &make, &mut router())?;
            println!("{conditions}");
            println!(
                "a is {}, b is {}; `cargo xtask wan exec a CMD` runs something there",
                End::A.address(),
                End::B.address()
            );
            Ok(())
        }
        What::Set { like } => Ok(wan.set(&like.words())?),
        What::Stat { reset } => {
            print!("{}", wan.stat()?);
            if *reset {
                wan.reset()?;
            }
            Ok(())
        }
        What::Exec { end, command } => {
            let end = if end == "a" { End::A } else { End::B };
            let Some((program, rest)) = command.split_first() else { bail!("no program") };
            let error = wan.command(end, program).args(rest).exec();
            Err(error).context("starting ip")
        }
        What::Down => Ok(wan.down()?),
        What::Route { link, words, seed } => Ok(Wan::named(link)?.route(words, *seed)?),
    }
}
