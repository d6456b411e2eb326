mod bites;

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::*;
use crate::TimeoutKind;
use crate::session::testing::{Peer, Server, until};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

/// A connection to a server that plays `script` after its greeting.
async fn connected<F>(limit: Duration, script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Control
where
    F: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    let server = Server::start(move |mut peer: Peer| {
        let script = Arc::clone(&script);
        async move {
            peer.say("220 ready\r\n").await;
            script(peer).await;
        }
    })
    .await;
    let (control, mut greeting) = open(&server, limit).await;
    assert_eq!(greeting.last().await.unwrap().code(), 220);
    control
}

async fn open(server: &Server, limit: Duration) -> (Control, PendingReply) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    Control::start(stream, limit, Arc::default()).unwrap()
}

fn command(text: &'static str) -> Command {
    match text.split_once(' ') {
        Some((verb, argument)) => Command::with(verb, argument).unwrap(),
        None => Command::new(text),
    }
}

#[tokio::test]
async fn the_greeting_may_come_in_two_parts() {
    let server = Server::start(|mut peer| async move {
        peer.say("120 wait a moment\r\n").await;
        peer.say("220-hello\r\n 220 not yet\r\n220 there\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let (_control, mut greeting) = open(&server, LONG).await;
    assert_eq!(greeting.next().await.unwrap().code(), 120);
    let reply = greeting.next().await.unwrap();
    assert_eq!((reply.code(), reply.lines().len()), (220, 3));
    assert_eq!(greeting.next().await.unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn replies_find_their_commands_and_the_window_holds() {
    let (most, mut seen) = mpsc::unbounded_channel();
    let control = connected(LONG, move |mut peer| {
        let most = most.clone();
        async move {
            // Nothing is answered before the window is full, and then one at a time.
            let mut waiting = VecDeque::new();
            for _ in 0..WINDOW {
                waiting.push_back(peer.line().await.unwrap());
            }
            let more = tokio::time::timeout(Duration::from_millis(50), peer.line()).await;
            most.send(more.is_err()).unwrap();
            while let Some(line) = waiting.pop_front() {
                peer.say(format!("200 {line}\r\n")).await;
                match peer.line().await {
                    Some(line) => waiting.push_back(line),
                    None => return,
                }
            }
        }
    })
    .await;
    let commands: Vec<_> = (0..2000).map(|n| Command::with("SIZE", format!("/{n}")).unwrap()).collect();
    let mut pending = control.send_all(commands);
    // The server waits for one more line after each answer, so the last ones are answered when these have come.
    let extra: Vec<_> = (0..WINDOW).map(|_| control.send(Command::new("NOOP"))).collect();
    assert!(seen.recv().await.unwrap(), "more than {WINDOW} commands were sent without an answer");
    for (n, reply) in pending.iter_mut().enumerate() {
        let reply = reply.last().await.unwrap();
        assert_eq!(reply.lines().next().unwrap(), format!("SIZE /{n}").as_bytes());
    }
    drop(extra);
}

#[tokio::test]
async fn a_window_of_one_is_one_command_at_a_time() {
    let control = connected(LONG, |mut peer| async move {
        loop {
            let burst = peer.burst().await;
            let answer = if burst.matches("\r\n").count() == 1 { "200 one\r\n" } else { "500 more\r\n" };
            if burst.is_empty() {
                return;
            }
            peer.say(answer).await;
        }
    })
    .await;
    control.set_window(1);
    assert_eq!(control.window(), 1);
    for mut reply in control.send_all((0..20).map(|_| Command::new("NOOP")).collect()) {
        assert_eq!(reply.last().await.unwrap().code(), 200);
    }
}

#[tokio::test]
async fn a_burst_leaves_in_one_write() {
    let (bursts, mut seen) = mpsc::unbounded_channel();
    let control = connected(LONG, move |mut peer| {
        let bursts = bursts.clone();
        async move {
            bursts.send(peer.burst().await).unwrap();
            peer.until_closed().await;
        }
    })
    .await;
    let _pending = control.send_all(vec![command("RNFR /a"), command("RNTO /b"), command("NOOP")]);
    assert_eq!(seen.recv().await.unwrap(), "RNFR /a\r\nRNTO /b\r\nNOOP\r\n");
}

#[tokio::test]
async fn preliminary_replies_come_one_by_one_or_not_at_all() {
    let control = connected(LONG, |mut peer| async move {
        while peer.line().await.is_some() {
            peer.say("150 begins\r\n112-Perf Marker\r\n Timestamp: 1\r\n112 End\r\n226 over\r\n").await;
        }
    })
    .await;
    let mut pending = control.send(command("RETR /a"));
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(pending.next().await.unwrap().code());
    }
    assert_eq!(codes, [150, 112, 226]);
    assert_eq!(control.command(command("RETR /b")).await.unwrap().code(), 226);
}

#[tokio::test]
async fn dropped_replies_do_not_shift_the_others() {
    let control = connected(LONG, |mut peer| async move {
        while let Some(line) = peer.line().await {
            peer.say(format!("150 {line}\r\n200 {line}\r\n")).await;
        }
    })
    .await;
    for round in 0..50 {
        drop(control.send(command("SIZE /dropped")));
        let mut kept = control.send(Command::with("SIZE", format!("/{round}")).unwrap());
        // Dropping a wait takes nothing away either.
        let _ = tokio::time::timeout(Duration::ZERO, kept.next()).await;
        drop(control.send(command("SIZE /dropped")));
        let reply = kept.last().await.unwrap();
        assert_eq!(reply.lines().next().unwrap(), format!("SIZE /{round}").as_bytes());
    }
}

#[tokio::test]
async fn withdrawn_commands_are_not_sent() {
    let control = connected(LONG, |mut peer| async move {
        while let Some(line) = peer.line().await {
            peer.say(format!("200 {line}\r\n")).await;
        }
    })
    .await;
    control.set_window(1);
    let mut first = control.send(command("SIZE /1"));
    drop(control.send(command("DELE /2")).withdraw_on_drop());
    drop(control.send(command("MKD /3")));
    first.last().await.unwrap();
    control.command(command("SIZE /4")).await.unwrap();
    // Greeting not counted: 1, 3 and 4.
    assert_eq!(control.handle.shared.counters.commands.get(), 3);
}

#[track_caller]
fn assert_error(error: &Error, kind: ErrorKind, applied: bool, part: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.may_have_applied(), applied, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test]
async fn a_reply_nobody_asked_for_ends_the_connection() {
    let control = connected(LONG, |mut peer| async move {
        peer.line().await;
        peer.say("213 5\r\n226 and a present\r\n").await;
        peer.until_closed().await;
    })
    .await;
    assert_eq!(control.command(command("SIZE /a")).await.unwrap().code(), 213);
    until("the connection is closed", || !control.is_open()).await;
    let error = control.command(command("SIZE /b")).await.unwrap_err();
    assert_error(&error, ErrorKind::ConnectionLost, false, "nothing had asked for");
}

#[tokio::test]
async fn an_answer_before_the_question_is_not_taken_for_it() {
    let server = Server::start(|mut peer| async move {
        peer.say("220 ready\r\n226 transfer complete\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let (control, mut greeting) = open(&server, LONG).await;
    assert_eq!(greeting.last().await.unwrap().code(), 220);
    let error = control.command(command("DELE /a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    assert!(!error.may_have_applied());
}

#[tokio::test]
async fn what_is_no_reply_ends_the_connection() {
    for (said, part) in [
        (b"SSH-2.0-OpenSSH_9\r\n".to_vec(), "SSH-2.0"),
        (b"\x00\xff\xfe\r\n".to_vec(), "expected a reply"),
        (b"20 ok\r\n".to_vec(), "20 ok"),
        (b"999 ok\r\n".to_vec(), "999"),
        (b"632 AAAA\r\n".to_vec(), "not protected"),
        (vec![b'x'; 1_100_000], "longer than"),
        ([b"226-".to_vec(), vec![b'y'; 1_100_000]].concat(), "longer than"),
    ] {
        let control = connected(LONG, move |mut peer| {
            let said = said.clone();
            async move {
                peer.line().await;
                peer.say(said).await;
                peer.until_closed().await;
            }
        })
        .await;
        let mut both = control.send_all(vec![command("DELE /a"), command("DELE /b")]);
        assert_error(&both[0].last().await.unwrap_err(), ErrorKind::Protocol, true, part);
        assert_error(&both[1].last().await.unwrap_err(), ErrorKind::ConnectionLost, true, "DELE");
        assert!(!control.is_open());
    }
}

#[tokio::test]
async fn a_reply_without_end_is_cut_off() {
    let control = connected(LONG, |mut peer| async move {
        peer.line().await;
        peer.say("211-Features\r\n").await;
        let lines = " X\r\n".repeat(1000);
        for _ in 0..1000 {
            peer.say(&lines).await;
        }
        peer.until_closed().await;
    })
    .await;
    let error = control.command(command("FEAT")).await.unwrap_err();
    assert_error(&error, ErrorKind::Protocol, true, "more than this client accepts");
}

#[tokio::test]
async fn too_many_preliminary_replies_are_cut_off() {
    let control = connected(LONG, |mut peer| async move {
        peer.line().await;
        let markers = "111 Range Marker 0-5\r\n".repeat(500);
        for _ in 0..20 {
            peer.say(&markers).await;
        }
        peer.until_closed().await;
    })
    .await;
    let mut pending = control.send(command("RETR /a"));
    until("the connection is closed", || !control.is_open()).await;
    for _ in 0..4096 {
        assert_eq!(pending.next().await.unwrap().code(), 111);
    }
    assert_error(&pending.next().await.unwrap_err(), ErrorKind::Protocol, true, "4096");
}

#[tokio::test]
async fn unread_replies_hold_the_server_back() {
    let control = connected(LONG, |mut peer| async move {
        let long = format!("211-a\r\n{}211 end\r\n", " 0123456789abcdef\r\n".repeat(8000));
        while peer.line().await.is_some() {
            peer.say(&long).await;
        }
    })
    .await;
    let pending: Vec<_> = (0..200).map(|_| control.send(command("FEAT"))).collect();
    let replies = &control.handle.shared.counters.replies;
    until("enough is unread", || control.handle.shared.unread.load(Ordering::Relaxed) >= slot::MAX_UNREAD)
        .await;
    assert!(replies.get() < 60, "{} replies were read although nobody took one", replies.get());
    for mut reply in pending {
        assert_eq!(reply.last().await.unwrap().lines().len(), 8002);
    }
    assert_eq!(control.handle.shared.unread.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_mute_server_is_given_up() {
    let control = connected(SHORT, |mut peer| async move {
        peer.until_closed().await;
    })
    .await;
    control.set_window(2);
    let begun = Instant::now();
    let mut all = control.send_all(vec![command("DELE /a"), command("DELE /b"), command("DELE /c")]);
    let timeout = ErrorKind::Timeout(TimeoutKind::Reply);
    assert_error(&all[0].last().await.unwrap_err(), timeout, true, "no reply to DELE within 150ms");
    assert_error(&all[1].last().await.unwrap_err(), timeout, true, "no reply");
    // The third one was never sent.
    assert_error(&all[2].last().await.unwrap_err(), ErrorKind::ConnectionLost, false, "DELE");
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert!(!control.is_open());
}

#[tokio::test]
async fn a_server_that_puts_its_answer_off_for_ever_is_given_up_too() {
    let control = connected(SHORT, |mut peer| async move {
        peer.line().await;
        loop {
            peer.say("150 a moment\r\n").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let begun = Instant::now();
    let error = control.send(command("DELE /a")).last().await.unwrap_err();
    assert_error(&error, ErrorKind::Timeout(TimeoutKind::Reply), true, "no reply to DELE within 150ms");
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_drips_is_given_up_too() {
    let control = connected(SHORT, |mut peer| async move {
        peer.line().await;
        peer.say("211-Features\r\n").await;
        loop {
            peer.say(" X\r\n").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let error = control.command(command("FEAT")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Reply));
}

#[tokio::test]
async fn waiting_behind_others_costs_no_time() {
    let control = connected(SHORT * 3, |mut peer| async move {
        while peer.line().await.is_some() {
            tokio::time::sleep(SHORT / 2).await;
            peer.say("200 at last\r\n").await;
        }
    })
    .await;
    for mut reply in control.send_all((0..8).map(|_| Command::new("NOOP")).collect()) {
        assert_eq!(reply.last().await.unwrap().code(), 200);
    }
}

#[tokio::test]
async fn a_running_transfer_has_its_own_limit() {
    let control = connected(SHORT, |mut peer| async move {
        peer.line().await;
        peer.say("150 here it comes\r\n").await;
        tokio::time::sleep(SHORT * 3).await;
        peer.say("226 done\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let mut transfer = control.send(command("RETR /a"));
    assert_eq!(transfer.next().await.unwrap().code(), 150);
    transfer.within(None);
    assert_eq!(transfer.next().await.unwrap().code(), 226);
    assert!(control.is_open());
    // A limit set late counts from then, and the ordinary one is back when the caller goes.
    let mut mute = control.send(command("RETR /b"));
    mute.within(None);
    assert!(tokio::time::timeout(SHORT * 2, mute.next()).await.is_err());
    drop(mute);
    assert!(control.is_open());
    until("the ordinary limit has passed", || !control.is_open()).await;
}

#[tokio::test]
async fn a_shorter_limit_takes_effect_at_once() {
    let control = connected(LONG, |mut peer| async move {
        peer.until_closed().await;
    })
    .await;
    let mut pending = control.send(command("RETR /a"));
    let begun = Instant::now();
    pending.within(Duration::from_millis(50));
    assert_eq!(pending.last().await.unwrap_err().kind(), ErrorKind::Timeout(TimeoutKind::Reply));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_that_leaves_says_why() {
    let control = connected(LONG, |mut peer| async move {
        peer.line().await;
        peer.say("421 Service not available, too many users\r\n").await;
    })
    .await;
    let mut both = control.send_all(vec![command("MKD /a"), command("MKD /b")]);
    let error = both[0].last().await.unwrap_err();
    assert_error(&error, ErrorKind::ServerBusy, true, "too many users");
    assert_eq!(error.reply().unwrap().code(), 421);
    assert_error(&both[1].last().await.unwrap_err(), ErrorKind::ConnectionLost, true, "MKD");

    let control = connected(LONG, |mut peer| async move {
        peer.say("421 Idle timeout\r\n").await;
    })
    .await;
    until("the session is seen to be closed", || !control.is_open()).await;
    let error = control.command(command("MKD /a")).await.unwrap_err();
    assert_error(&error, ErrorKind::ConnectionLost, false, "421 Idle timeout");
}

#[tokio::test]
async fn a_connection_that_breaks_says_what_was_sent() {
    for said in ["", "250-half a\r\n", "25"] {
        let control = connected(LONG, move |mut peer| async move {
            peer.line().await;
            peer.say(said).await;
        })
        .await;
        control.set_window(1);
        let mut all = control.send_all(vec![command("MKD /a"), command("MKD /b")]);
        assert_error(&all[0].last().await.unwrap_err(), ErrorKind::ConnectionLost, true, "MKD");
        assert_error(&all[1].last().await.unwrap_err(), ErrorKind::ConnectionLost, false, "MKD");
        assert!(!control.is_open());
    }
}

#[tokio::test]
async fn the_last_handle_closes_the_socket() {
    let (closed, mut seen) = mpsc::unbounded_channel();
    let control = connected(LONG, move |mut peer| {
        let closed = closed.clone();
        async move {
            closed.send(peer.until_closed().await).unwrap();
        }
    })
    .await;
    let second = control.clone();
    let mut pending = second.send(command("SIZE /a"));
    drop(control);
    assert!(second.is_open());
    let counters = Arc::clone(&second.handle.shared.counters);
    assert_eq!(counters.open.get(), 1);
    drop(second);
    assert_eq!(pending.last().await.unwrap_err().kind(), ErrorKind::ConnectionLost);
    assert!(seen.recv().await.unwrap().len() <= 1);
    until("the connection is counted as closed", || counters.open.get() == 0).await;
}

#[tokio::test]
async fn a_farewell_is_said_after_everything_else() {
    let (lines, mut seen) = mpsc::unbounded_channel();
    let control = connected(LONG, move |mut peer| {
        let lines = lines.clone();
        async move {
            let mut all = Vec::new();
            while let Some(line) = peer.line().await {
                peer.say(if line == "QUIT" { "221 bye\r\n" } else { "200 yes\r\n" }).await;
                all.push(line);
            }
            lines.send(all).unwrap();
        }
    })
    .await;
    let mut pending = control.send(Command::new("NOOP"));
    control.quit();
    assert!(!control.is_open());
    assert_error(
        &control.command(Command::new("NOOP")).await.unwrap_err(),
        ErrorKind::ConnectionLost,
        false,
        "closed",
    );
    assert_eq!(pending.last().await.unwrap().code(), 200);
    drop(control);
    assert_eq!(seen.recv().await.unwrap(), ["NOOP", "QUIT"]);
}

#[tokio::test]
async fn a_farewell_to_a_mute_server_ends_as_well() {
    let (closed, mut seen) = mpsc::unbounded_channel();
    let control = connected(LONG, move |mut peer| {
        let closed = closed.clone();
        async move {
            closed.send(peer.until_closed().await).unwrap();
        }
    })
    .await;
    let begun = Instant::now();
    control.quit();
    drop(control);
    assert_eq!(seen.recv().await.unwrap(), ["QUIT"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_runtime_that_goes_away_leaves_no_one_waiting() {
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let control = first.block_on(connected(LONG, |mut peer| async move {
        peer.until_closed().await;
    }));
    let mut pending = control.send(command("MKD /a"));
    first.shutdown_background();
    let second = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    second.block_on(async {
        let error = pending.last().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
        let error = control.command(command("MKD /b")).await.unwrap_err();
        assert_error(&error, ErrorKind::ConnectionLost, false, "runtime");
    });
}
