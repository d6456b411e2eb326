//! What the control connection checks, each with what comes of it without the check.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::hooks::Outcome::{Corrupt, Hung, Well};
use crate::hooks::{bites, this_test};

/// A server that answers what it has not read: more than was ever sent to it.
#[test]
fn c3_answers_to_commands_that_were_not_sent() {
    bites(this_test!(), "C3", &[Corrupt], || async {
        // Far less than all commands fits in between, so most of them wait at this end.
        let (client, mut server) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(client);
        let at = "127.0.0.1:21".parse().unwrap();
        let (shared, control, mut greeting, slot) = Control::prepare(at, at, LONG, Arc::default());
        let actor = tokio::spawn(actor::Actor::new(shared, slot).run(reader, writer, None));
        server.write_all(b"220 ready\r\n").await.unwrap();
        assert_eq!(greeting.last().await.unwrap().code(), 220);
        let long = || Command::with("MKD", "x".repeat(1000)).unwrap();
        let line = long().as_bytes().len() + 2;
        let replies = control.send_all((0..WINDOW).map(|_| long()).collect());
        let mut heard = vec![0];
        server.read_exact(&mut heard).await.unwrap();
        server.write_all("250 x\r\n".repeat(WINDOW).as_bytes()).await.unwrap();
        actor.await.unwrap();
        let mut answered = 0;
        for mut reply in replies {
            answered += usize::from(reply.last().await.is_ok());
        }
        let _broken = server.read_to_end(&mut heard).await;
        // Of the last one a part may have been sent.
        if answered > heard.len().div_ceil(line) { Corrupt } else { Well }
    });
}

#[test]
fn s12_a_line_end_in_a_name() {
    bites(this_test!(), "control bytes", &[Corrupt], || async {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let control = connected(LONG, move |mut peer| {
            let notes = Arc::clone(&notes);
            async move {
                while let Some(line) = peer.line().await {
                    notes.lock().unwrap().push(line);
                    peer.say("250 done\r\n").await;
                }
            }
        })
        .await;
        if let Ok(command) = Command::with("SIZE", b"/a\r\nDELE /victim") {
            let _ = control.command(command).await;
        }
        let _ = control.command(command("NOOP")).await;
        let heard = heard.lock().unwrap();
        if heard.iter().any(|line| line.starts_with("DELE")) { Corrupt } else { Well }
    });
}

#[test]
fn pipeline_a_connection_lost_with_500_commands_queued() {
    bites(this_test!(), "lost with commands queued", &[Hung], || async {
        for resets in [false, true] {
            // As many are sent as the window holds; 100 are answered.
            let control = connected(LONG, move |mut peer| async move {
                for _ in 0..500 {
                    peer.line().await;
                }
                peer.say("200 fine\r\n".repeat(100)).await;
                if resets {
                    peer.reset();
                }
            })
            .await;
            let replies = control.send_all((0..500).map(|n| command_of(n)).collect());
            let more = control.send_all((0..500).map(|n| command_of(n)).collect());
            let begun = Instant::now();
            for (number, mut reply) in replies.into_iter().chain(more).enumerate() {
                let Ok(end) = tokio::time::timeout(Duration::from_secs(4), reply.last()).await else {
                    return Hung;
                };
                match (number, end) {
                    (0..100, Ok(reply)) if reply.code() == 200 => {}
                    // A close with something unread is a reset, too, which may overtake what was said before it.
                    (0..100, Err(error)) if error.kind() == ErrorKind::ConnectionLost => {}
                    (100.., Err(error)) if error.kind() == ErrorKind::ConnectionLost => {
                        // What was beyond the window was never sent, and says so.
                        if number >= WINDOW + 100 && error.may_have_applied() {
                            return Corrupt;
                        }
                    }
                    _ => return Corrupt,
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(4) && !control.is_open());
        }
        Well
    });
}

fn command_of(number: usize) -> Command {
    Command::with("MKD", format!("/d{number}")).unwrap()
}
