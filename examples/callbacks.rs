//! For programs with an event loop of their own: transfers are ordered through a channel, and each of them calls back exactly
//! once, on a thread of the program's choice.
//!
//! `cargo run --example callbacks -- FROM TO [FROM TO]…`

use std::sync::mpsc;
use std::thread;

use gridftp::{Client, Error, TransferReport};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Callback = Box<dyn FnOnce(Result<TransferReport, Error>) + Send>;

/// What the thread with the runtime is told.
struct Order {
    from: String,
    to: String,
    callback: Callback,
}

/// Orders transfers; may be cloned and used from any thread.
#[derive(Clone)]
struct Transfers(UnboundedSender<Order>);

impl Transfers {
    /// Starts the thread. It ends when the last of these is dropped and every transfer has called back.
    fn start() -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (sender, orders) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread =
            thread::Builder::new().name("gridftp".into()).spawn(move || runtime.block_on(serve(orders)))?;
        Ok((Self(sender), thread))
    }

    fn transfer(
        &self,
        from: &str,
        to: &str,
        callback: impl FnOnce(Result<TransferReport, Error>) + Send + 'static,
    ) {
        let order = Order { from: from.to_owned(), to: to.to_owned(), callback: Box::new(callback) };
        // The thread lives as long as this.
        let _ = self.0.send(order);
    }
}

async fn serve(mut orders: UnboundedReceiver<Order>) {
    let Ok(client) = Client::new() else { return };
    let mut running = tokio::task::JoinSet::new();
    while let Some(Order { from, to, callback }) = orders.recv().await {
        let transfer = client.transfer(from, to).recursive(true);
        running.spawn(async move { callback(transfer.await) });
    }
    while running.join_next().await.is_some() {}
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(
        !arguments.is_empty() && arguments.len().is_multiple_of(2),
        "expected: FROM TO [FROM TO]…"
    );
    let (transfers, thread) = Transfers::start()?;
    // The program's own loop: here a channel of its main thread.
    let (told, events) = mpsc::channel();
    for pair in arguments.chunks(2) {
        let (told, name) = (told.clone(), pair[0].clone());
        transfers.transfer(&pair[0], &pair[1], move |result| drop(told.send((name, result))));
    }
    drop((transfers, told));
    let mut failed = 0;
    for (name, result) in events {
        match result.and_then(|report| report.check().map(|()| report)) {
            Ok(report) => eprintln!("{name}: {report}"),
            Err(error) => {
                failed += 1;
                eprintln!("{name}: {error}");
            }
        }
    }
    thread.join().ok();
    anyhow::ensure!(failed == 0, "{failed} transfers failed");
    Ok(())
}
