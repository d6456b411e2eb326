//! Those who move files: as many as the controller lets work at the same time.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::choices::Concurrency;
use super::controller;
use super::job::Job;
use super::queue::Work;
use super::{End, Route, large, pipes};

/// Workers where the number finds itself. More sessions are not faster, on servers with a core for each as well.
const MOST: usize = 16;

/// Workers that copy local files.
const LOCAL: usize = 4;

/// Moves everything that is planned.
pub(super) async fn run(job: &Arc<Job>) {
    let most = most(job);
    let (active, allowed) = watch::channel(1);
    let mut workers = JoinSet::new();
    for number in 0..most {
        workers.spawn(work(Arc::clone(job), number, allowed.clone()));
    }
    drop(allowed);
    let control = controller::run(Arc::clone(job), most, active);
    tokio::select! {
        () = async { while workers.join_next().await.is_some() {} } => {}
        () = control => {}
    }
}

fn most(job: &Job) -> usize {
    let sessions = |end: &End| match end {
        End::Local(_) => usize::MAX,
        End::Remote(remote) => remote.client.sessions_per_endpoint(),
    };
    let limit = sessions(&job.sources[0]).min(sessions(&job.to));
    // Both ends on one server share its sessions.
    let shared = match (&job.sources[0], &job.to) {
        (End::Remote(from), End::Remote(to)) => from.root.endpoint() == to.root.endpoint(),
        _ => false,
    };
    let limit = if shared { limit / 2 } else { limit };
    let wanted = match job.choices.concurrency {
        Concurrency::Fixed(sessions) => usize::from(sessions),
        Concurrency::Auto if job.route == Route::Local => LOCAL,
        Concurrency::Auto => MOST,
    };
    wanted.min(limit).max(1)
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
