//! One copy, from the first look at the destination to the last check.

use std::sync::Arc;

use gridftp::Client;

use crate::args::Settings;
use crate::failure::{End, Failure};
use crate::location::Location;
use crate::progress::{self, Progress};
use crate::signals::Signals;
use crate::sink::Sink;
use crate::source::{self, Source};
use crate::target::{self, Target};

/// Copies. Whatever fails, and whenever a signal comes, nothing incomplete is left behind.
pub(crate) async fn run(settings: &Arc<Settings>) -> Result<(), Failure> {
    let signals = Signals::install().map_err(|error| Failure::local("cannot listen to signals", error))?;
    let (from, to) = clients(settings)?;
    progress::announce(settings);

    let begin = async {
        let target = examine(&to, settings).await?;
        let source = Source::open(&from, settings, target.in_order()).await?;
        Ok((target, source))
    };
    let (target, mut source) = signals.until(begin).await?;
    let mut sink = Sink::open(target, &to, settings, source.announced(), &signals).await?;

    let progress = Progress::start(settings, source.announced());
    let pumped = signals.until(pump(&mut source, &mut sink, &progress)).await;
    let result = match pumped {
        Ok(()) => sink.finish(progress.bytes(), &signals).await,
        Err(failure) => match sink.discard().await {
            Ok(()) => Err(failure),
            Err(note) => Err(failure.note(note)),
        },
    };
    progress.end(result.is_ok());
    result
}

async fn pump(source: &mut Source, sink: &mut Sink, progress: &Progress) -> Result<(), Failure> {
    while let Some(block) = source.next().await? {
        let length = source::length(&block);
        sink.write(block).await?;
        progress.add(length);
    }
    Ok(())
}

/// Looks at the destination.
async fn examine(client: &Client, settings: &Arc<Settings>) -> Result<Target, Failure> {
    match &settings.dest {
        Location::Stdio => Ok(Target::Stdout),
        Location::Remote(url) => target::remote::examine(client, url, settings).await.map(Target::Remote),
        Location::Local(path) => {
            let (path, settings) = (path.clone(), Arc::clone(settings));
            let looking = tokio::task::spawn_blocking(move || target::local::examine(&path, &settings));
            looking.await.unwrap_or_else(|_| Err(Failure::interrupted())).map(Target::Local)
        }
    }
}

/// The clients for the two ends: one and the same, unless their servers have to prove different names.
fn clients(settings: &Settings) -> Result<(Client, Client), Failure> {
    let client = |end: End, subject: &Option<String>| {
        let mut builder = Client::builder()
            .application("gridftp-cp", env!("CARGO_PKG_VERSION"))
            .timeouts(settings.timeouts);
        if let Some(subject) = subject {
            builder = builder.subject(subject);
        }
        builder.build().map_err(|error| Failure::remote(end, error))
    };
    let from = client(End::Source, &settings.source_subject)?;
    let to = if settings.source_subject == settings.dest_subject {
        from.clone()
    } else {
        client(End::Destination, &settings.dest_subject)?
    };
    Ok((from, to))
}
