//! Those who move files: as many as the controller lets work at the same time.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::channels::Channels;
use super::choices::{Choices, Concurrency, Verify};
use super::controller;
use super::job::Job;
use super::location::Location;
use super::queue::Work;
use super::{End, Route, large, pipes};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Phase, Result, Side};

/// Workers where the number finds itself. More sessions are not faster, on servers with a core for each as well.
const MOST: usize = 16;

/// Workers that copy local files.
const LOCAL: usize = 4;

/// Moves everything that is planned.
///
/// # Errors
/// `Internal`, when one of them has panicked: what it was about is not known.
pub(super) async fn run(job: &Arc<Job>) -> Result<()> {
    let most = most(job);
    let (active, allowed) = watch::channel(1);
    let mut workers = JoinSet::new();
    for number in 0..most {
        workers.spawn(work(Arc::clone(job), number, allowed.clone()));
    }
    drop(allowed);
    if job.route == Route::Download
        && !job.single
        && !job.choices.dry_run
        && is_usual(&job.channels)
        && let End::Remote(from) = &job.sources[0]
    {
        // While the source is walked: the first files come from there when the first listing has.
        from.log_in_ahead(controller::first(job).min(most));
    }
    let control = controller::run(Arc::clone(job), most, active);
    let ended = async {
        while let Some(ended) = workers.join_next().await {
            if ended.is_err() {
                job.queue.stop();
                let message = "a task that moves files has panicked";
                return Err(Error::new(ErrorKind::Internal, Phase::Data, message).with_side(Side::Local));
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = ended => ended,
        () = control => Ok(()),
    }
}

/// Whether files come over sessions that log in like those that walk.
fn is_usual(channels: &Channels) -> bool {
    channels.is_plain() && channels.data_credential.is_none()
}

/// Sessions that a tree far away is going to be fetched over at first, for those who log in before it is known to be one.
pub(super) fn ahead(client: &Client, to: &Location, choices: &Choices, channels: &Channels) -> usize {
    if !choices.recursive || choices.dry_run || !matches!(to, Location::Local(_)) || !is_usual(channels) {
        return 0;
    }
    let wanted = match choices.concurrency {
        Concurrency::Fixed(sessions) => usize::from(sessions),
        Concurrency::Auto => usize::MAX,
    };
    let verifies = usize::from(!matches!(choices.verify, Verify::Size));
    let places = client.sessions_per_endpoint().saturating_sub(1) / (1 + verifies);
    wanted.min(places).min(controller::FIRST_FAR)
}

/// Workers for whom there are sessions, so that nobody holds one and waits for another that nobody gives back: a walk has one of
/// its own, a transfer within one server takes two, and whoever fetches small files has checksums computed on another one.
pub(super) fn places(job: &Job) -> usize {
    let sessions = |end: &End| match end {
        End::Local(_) => usize::MAX,
        End::Remote(remote) => remote.client.sessions_per_endpoint(),
    };
    let walks = usize::from(!job.single && matches!(job.sources[0], End::Remote(_)));
    let verifies = usize::from(job.route == Route::Download && job.algorithm.is_some() && !job.single);
    let (from, to) = (sessions(&job.sources[0]).saturating_sub(walks), sessions(&job.to));
    let shared = match (&job.sources[0], &job.to) {
        (End::Remote(from), End::Remote(to)) => from.root.endpoint() == to.root.endpoint(),
        _ => false,
    };
    if shared { from / 2 } else { (from / (1 + verifies)).min(to) }
}

fn most(job: &Job) -> usize {
    let wanted = match job.choices.concurrency {
        Concurrency::Fixed(sessions) => usize::from(sessions),
        Concurrency::Auto if job.route == Route::Local => LOCAL,
        Concurrency::Auto => MOST,
    };
    wanted.min(places(job)).max(1)
}

async fn work(job: Arc<Job>, number: usize, mut allowed: watch::Receiver<usize>) {
    loop {
        let over = {
            let mine = allowed.wait_for(|active| *active > number);
            tokio::select! {
                biased;
                mine = mine => mine.is_err(),
                () = job.queue.over() => true,
            }
        };
        if over {
            return;
        }
        let work = {
            let less = allowed.wait_for(|active| *active <= number);
            tokio::select! {
                biased;
                less = less => match less {
                    Ok(_) => continue,
                    Err(_) => return,
                },
                work = job.queue.next(number) => work,
            }
        };
        match work {
            Work::Over => return,
            Work::Pipeline => pipes::run(&job, number, &allowed).await,
            Work::Alone(item) => large::alone(&job, item).await,
            Work::Help(file) => file.help().await,
        }
    }
}
