use std::time::Instant as Clock;

use tokio::sync::mpsc;

use super::*;
use crate::session::testing::{Peer, Server, ordinary_answer};
use crate::url::Url;

fn login(server: &Server, user: &str, password: &str) -> Login {
    Login {
        endpoint: Url::parse(&server.url("/")).unwrap().endpoint().clone(),
        identity: Identity::Password {
            user: user.into(),
            password: password.into(),
            certain: user == "anonymous",
        },
        data_credential: None,
        assertion: None,
        ssh: None,
        ipv6: true,
        data_address: None,
        connect_limit: Duration::from_secs(20),
        reply_limit: Duration::from_secs(20),
        client_info: "scheme=ftp;appname=\"test\";appver=\"1\";".into(),
        sequential: false,
    }
}

async fn open(login: &Login) -> Result<Session> {
    let deadline = Instant::now() + login.connect_limit;
    login.open(&Arc::default(), deadline).await
}

#[tokio::test]
async fn an_anonymous_login_is_one_round_trip() {
    let (bursts, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer: Peer| {
        let bursts = bursts.clone();
        async move {
            peer.say("220 GridFTP Server 13\r\n").await;
            let burst = peer.burst().await;
            // Nothing is answered before everything is asked.
            for line in burst.lines() {
                peer.say(ordinary_answer(line)).await;
            }
            bursts.send(burst).unwrap();
            peer.until_closed().await;
        }
    })
    .await;
    let session = open(&login(&server, "anonymous", "anonymous@")).await.unwrap();
    assert_eq!(
        seen.recv().await.unwrap(),
        "USER anonymous\r\nPASS anonymous@\r\nFEAT\r\nTYPE I\r\n\
         SITE CLIENTINFO scheme=ftp;appname=\"test\";appver=\"1\";\r\n"
    );
    assert!(session.features.mlst() && session.features.size() && !session.features.dcau());
    assert!(session.security.is_none() && !session.sequential);
    assert_eq!(session.peer(), server.address);
    assert!(session.local().ip().is_loopback());
}

#[tokio::test]
async fn a_password_is_sent_when_it_is_asked_for() {
    let (lines, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer: Peer| {
        let lines = lines.clone();
        async move {
            peer.say("220 ready\r\n").await;
            let user = peer.burst().await;
            peer.say("331 password?\r\n").await;
            lines.send(user).unwrap();
            let rest = peer.burst().await;
            for line in rest.lines() {
                peer.say(ordinary_answer(line)).await;
            }
            lines.send(rest).unwrap();
            peer.until_closed().await;
        }
    })
    .await;
    open(&login(&server, "lab", "hunter2")).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "USER lab\r\n");
    assert_eq!(seen.recv().await.unwrap(), "PASS hunter2\r\nFEAT\r\nTYPE I\r\n");
}

#[tokio::test]
async fn a_server_may_want_no_password() {
    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        while let Some(line) = peer.line().await {
            let answer = match &line[..4] {
                "USER" => "230 come in\r\n".to_owned(),
                "PASS" => "503 what for?\r\n".to_owned(),
                "FEAT" => "502 no\r\n".to_owned(),
                _ => ordinary_answer(&line),
            };
            peer.say(answer).await;
        }
    })
    .await;
    for user in ["anonymous", "lab"] {
        let session = open(&login(&server, user, "x")).await.unwrap();
        assert!(session.features.is_empty());
    }
}

/// Logs in to a server that gives `answer` to the verb and is ordinary otherwise.
async fn refusal(user: &str, verb: &'static str, answer: &'static str) -> Error {
    let server = Server::start(move |mut peer: Peer| async move {
        peer.say(if verb.is_empty() { answer } else { "220 ready\r\n" }).await;
        while let Some(line) = peer.line().await {
            let said = if line.starts_with(verb) { answer.to_owned() } else { ordinary_answer(&line) };
            peer.say(said).await;
        }
    })
    .await;
    let error = open(&login(&server, user, "hunter2")).await.unwrap_err();
    assert_eq!(error.phase(), Phase::Login, "{error}");
    assert!(!error.may_have_applied() && !error.to_string().contains("hunter2"), "{error}");
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
    error
}

#[tokio::test]
async fn refusals_have_their_kinds() {
    let cases = [
        ("lab", "PASS", "530 Login incorrect.\r\n", ErrorKind::Authentication, false),
        ("lab", "USER", "530 Not welcome.\r\n", ErrorKind::Authentication, false),
        ("anonymous", "USER", "530 This server does not do anonymous.\r\n", ErrorKind::Authentication, false),
        ("anonymous", "PASS", "530 Who?\r\n", ErrorKind::Authentication, false),
        ("lab", "PASS", "332 account?\r\n", ErrorKind::Authentication, false),
        ("lab", "PASS", "530 Too many users, try again later.\r\n", ErrorKind::ServerBusy, true),
        ("lab", "TYPE", "504 no such type\r\n", ErrorKind::Unsupported, false),
        ("lab", "", "421 Too many connections.\r\n", ErrorKind::ServerBusy, true),
        ("lab", "", "500 go away\r\n", ErrorKind::ServerBusy, true),
        ("lab", "", "230 come in\r\n", ErrorKind::Protocol, false),
        ("lab", "", "SSH-2.0-x\r\n", ErrorKind::Protocol, false),
        ("lab", "FEAT", "no reply\r\n", ErrorKind::Protocol, false),
    ];
    for (user, verb, answer, kind, transient) in cases {
        let error = refusal(user, verb, answer).await;
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{answer}: {error}");
        assert_eq!(error.reply().is_some(), kind != ErrorKind::Protocol, "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_drops_what_is_sent_ahead_is_asked_step_by_step() {
    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        while let Some(line) = peer.line().await {
            peer.forget();
            peer.say(ordinary_answer(&line)).await;
        }
    })
    .await;
    let mut before = 0;
    // For the second even PASS is sent ahead.
    for (user, password) in [("lab", "x"), ("anonymous", "anonymous@")] {
        let mut login = login(&server, user, password);
        // The silence that counts is never longer than the limit for a reply.
        login.reply_limit = Duration::from_millis(200);
        let session = open(&login).await.unwrap();
        assert!(session.sequential && session.features.mlst());
        assert_eq!((session.control.window(), server.connections() - before), (1, 2));
        login.sequential = true;
        open(&login).await.unwrap();
        before += 3;
        assert_eq!(server.connections(), before);
    }
}

#[tokio::test]
async fn silence_ends_with_the_limit_for_connecting() {
    // Mute at once, after the greeting, in the middle of the greeting.
    for said in ["", "220-slowly\r\n", "120 wait\r\n"] {
        let server = Server::start(move |mut peer: Peer| async move {
            peer.say(said).await;
            peer.until_closed().await;
        })
        .await;
        let mut login = login(&server, "lab", "x");
        login.connect_limit = Duration::from_millis(150);
        let begun = Clock::now();
        let error = open(&login).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Connect), "{error}");
        assert!(error.to_string().contains("logging in took longer than 150ms"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_during_the_login_was_a_failed_login() {
    let server = Server::start(|mut peer: Peer| async move {
        peer.say("220 ready\r\n").await;
        peer.line().await;
    })
    .await;
    let error = open(&login(&server, "lab", "x")).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::ConnectionLost, Phase::Login));
    assert!(error.is_transient() && !error.may_have_applied());
}
