//! One copy, from the first look at the destination to the last check.

use std::sync::Arc;

use gridftp::Client;

use crate::failure::Failure;
use crate::location::Location;
use crate::signals::Signals;
use crate::stream::Order;
use crate::stream::sink::Sink;
use crate::stream::source::{self, Source};
use crate::stream::target::{self, Target};

/// Copies; says how many bytes. Whatever fails, and whenever a signal comes, nothing incomplete is left behind.
pub(crate) async fn run(
    order: &Arc<Order>,
    (from, to): (&Client, &Client),
    target: Target,
    signals: &Signals,
) -> Result<u64, Failure> {
    let mut source = signals.until(Source::open(from, order, target.in_order())).await?;
    let mut sink = Sink::open(target, to, order, source.announced(), signals).await?;
    order.meter.announce(source.announced());
    let pumped = signals.until(pump(&mut source, &mut sink, order)).await;
    let bytes = order.meter.bytes();
    match pumped {
        Ok(()) => sink.finish(bytes, signals).await.map(|()| bytes),
        Err(failure) => match sink.discard().await {
            Ok(()) => Err(failure),
            Err(note) => Err(failure.note(note)),
        },
    }
}

async fn pump(source: &mut Source, sink: &mut Sink, order: &Order) -> Result<(), Failure> {
    while let Some(block) = source.next().await? {
        let length = source::length(&block);
        sink.write(block).await?;
        order.meter.add(length);
        if let Some(limit) = &order.rate_limit {
            limit.moved(length).await;
        }
    }
    Ok(())
}

/// Looks at the destination; for `-cd`, makes the folders that are missing.
pub(crate) async fn examine(client: &Client, order: &Arc<Order>) -> Result<Target, Failure> {
    match &order.dest {
        Location::Stdio => Ok(Target::Stdout),
        Location::Remote(url) => target::remote::examine(client, url, order).await.map(Target::Remote),
        Location::Local(path) => {
            let (path, order) = (path.clone(), Arc::clone(order));
            let looking = tokio::task::spawn_blocking(move || target::local::examine(&path, &order));
            looking.await.unwrap_or_else(|_| Err(Failure::interrupted())).map(Target::Local)
        }
    }
}
