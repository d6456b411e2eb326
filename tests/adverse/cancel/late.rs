//! Servers that do what they were told long after nobody wants it any more.

use std::time::Duration;

use gridftp_lab::hostile::{Act, Hostile, Play, Step};

use super::told::Told;
use crate::support::{alone, builder, eventually};

/// A deletion on another session came before the slow server had created the file, and nobody said so.
#[test]
fn temporary_files_that_come_late_are_deleted() {
    alone("cancel::late::temporary_files_that_come_late_are_deleted", || async {
        let told = Told::listen();
        let play = (0..5).fold(Play::new(), |play, n| play.file(&format!("/f{n}"), vec![7; 5000]));
        let from = Hostile::start(play);
        let slow = Act::Delay(Duration::from_millis(700));
        let to = Hostile::start(Play::new().folder("/data").at(Step::Accepted, slow).times(1));
        let client = builder().build().unwrap();
        let pairs: Vec<_> =
            (0..5).map(|n| (from.url(&format!("/f{n}")), to.url(&format!("/data/f{n}")))).collect();
        let many = client.third_party_many(pairs).await.unwrap();
        // The file is created when the pause is over.
        eventually("the destination begins to store", || to.data_connections() > 0).await;
        drop(many);
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        drop(client);
        eventually("the operation ends", || tasks() == 0).await;
        eventually("the servers are through", || to.open_connections() == 0).await;
        let left = to.names("/data");
        let unsaid: Vec<_> =
            left.iter().filter(|name| name.starts_with('.') && !told.mentions(name)).collect();
        assert!(unsaid.is_empty(), "left without a word: {unsaid:?}, {}", told.text());
        assert!(to.times_heard("DELE") > 0, "{:?}", to.heard());
        assert!(left.is_empty(), "a server that answers has its files deleted: {left:?}, {}", told.text());
    });
}
