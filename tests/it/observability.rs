//! What can be seen from outside: spans, commands and replies, figures.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gridftp::options::TransferMode;
use gridftp::{Client, Credential, ErrorKind};
use gridftp_lab::{PlainServer, Server, random_bytes};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::fake::Fake;
use crate::support::{alone, anonymous, builder, eventually, trusting, with_proxy};

/// Everything that was traced: one line per span and per event, each event behind the span it is in.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// Listens to all of this process from now on, so the process must be the test's own.
    fn start() -> Self {
        let trace = Self::default();
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(trace.clone())).unwrap();
        trace
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

struct Shown(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Trace {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut text = Text::default();
        attributes.record(&mut text);
        let shown = format!("{}{}", attributes.metadata().name(), text.0);
        context.span(id).unwrap().extensions_mut().insert(Shown(shown.clone()));
        if attributes.metadata().target().starts_with("gridftp") {
            self.0.lock().unwrap().push(format!("span {shown}"));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !event.metadata().target().starts_with("gridftp") {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let span = context.event_span(event);
        let span = span.and_then(|span| span.extensions().get::<Shown>().map(|shown| shown.0.clone()));
        let span = span.unwrap_or_default();
        let target = event.metadata().target();
        self.0.lock().unwrap().push(format!("event {target}{} | {span}", text.0));
    }
}

/// The commands and replies among the lines, with the span they are in.
fn exchanged(lines: &[String]) -> Vec<(&str, &str)> {
    let protocol = lines.iter().filter_map(|line| line.strip_prefix("event gridftp::protocol"));
    protocol
        .filter_map(|line| line.split_once("message=")?.1.split_once(" | "))
        .map(|(message, span)| (message.split(" peer=").next().unwrap(), span))
        .collect()
}

#[test]
fn protocol_trace() {
    alone("observability::protocol_trace", || async {
        let server = Server::anonymous().start();
        std::fs::write(server.dir().join("f"), "hello").unwrap();
        let trace = Trace::start();
        let client = anonymous();
        let url = server.url("f");
        client.stat(&url).await.unwrap();

        let lines = trace.take();
        let spans: Vec<_> = lines.iter().filter(|line| line.starts_with("span ")).collect();
        assert_eq!(spans.len(), 1, "{lines:#?}");
        let endpoint = format!("endpoint=ftp://{}:{}", server.host(), server.port());
        for part in ["operation=\"MLST\"", &format!("url={url}"), &endpoint] {
            assert!(spans[0].contains(part), "{part} in {}", spans[0]);
        }
        let exchanged_now = exchanged(&lines);
        let found = |start: &str, span: &str| {
            exchanged_now.iter().any(|(message, inside)| message.starts_with(start) && inside.contains(span))
        };
        // Its command and the reply are the operation's own; the login belongs to all that use the session.
        assert!(found("> MLST ", "operation=\"MLST\""), "{lines:#?}");
        assert!(found("< 250 ", "operation=\"MLST\""), "{lines:#?}");
        assert!(
            found("> USER anonymous", "") && found("> PASS ***", "") && found("< 230 ", ""),
            "{lines:#?}"
        );

        let contents = client.get(&url).await.unwrap().bytes().await.unwrap();
        assert_eq!(contents, "hello");
        let lines = trace.take();
        let exchanged_now = exchanged(&lines);
        for start in ["> SIZE ", "> RETR ", "< 226 "] {
            assert!(
                exchanged_now
                    .iter()
                    .any(|(message, span)| message.starts_with(start) && span.contains("operation=\"get\"")),
                "{start} in {lines:#?}"
            );
        }

        let mut put = client.put(server.url("g")).await.unwrap();
        put.write("hello".into()).await.unwrap();
        put.finish().await.unwrap();
        let lines = trace.take();
        assert!(
            exchanged(&lines)
                .iter()
                .any(|(message, span)| message.starts_with("> STOR ") && span.contains("operation=\"put\"")),
            "{lines:#?}"
        );
    });
}

#[test]
fn third_parties_are_traced_and_counted() {
    alone("observability::third_parties_are_traced_and_counted", || async {
        let (one, two) = (Server::anonymous().start(), Server::anonymous().start());
        std::fs::write(one.dir().join("f"), "hello").unwrap();
        let trace = Trace::start();
        let client = anonymous();
        client.third_party(one.url("f"), two.url("g")).await.unwrap().join().await.unwrap();
        assert_eq!(std::fs::read(two.dir().join("g")).unwrap(), b"hello");
        let lines = trace.take();
        let shown = |lines: &[String], start: &str, operation: &str| {
            let operation = format!("operation=\"{operation}\"");
            exchanged(lines)
                .iter()
                .any(|(message, span)| message.starts_with(start) && span.contains(&operation))
        };
        for start in ["> PASV", "> PORT ", "> STOR ", "> RETR ", "< 226 ", "> SIZE "] {
            assert!(shown(&lines, start, "third_party"), "{start} in {lines:#?}");
        }
        assert_eq!((client.metrics().operations_done, client.metrics().operations_failed), (1, 0));
        client.third_party(one.url("missing"), two.url("g")).await.unwrap_err();
        assert_eq!((client.metrics().operations_done, client.metrics().operations_failed), (1, 1));

        trace.take();
        let pairs = [(one.url("f"), two.url("h")), (one.url("missing"), two.url("i"))];
        let mut many = client.third_party_many(pairs).await.unwrap();
        let mut well = 0;
        while let Some(outcome) = many.next_outcome().await {
            well += u32::from(outcome.result.is_ok());
        }
        assert_eq!(well, 1);
        assert_eq!(std::fs::read(two.dir().join("h")).unwrap(), b"hello");
        let lines = trace.take();
        for start in ["> STOR ", "> RETR ", "> RNFR ", "> RNTO "] {
            assert!(shown(&lines, start, "third_party_many"), "{start} in {lines:#?}");
        }
        assert_eq!((client.metrics().operations_done, client.metrics().operations_failed), (2, 2));
    });
}

#[test]
fn a_trace_holds_no_secrets() {
    alone("observability::a_trace_holds_no_secrets", || async {
        let server = PlainServer::with_password("lab").start();
        let trace = Trace::start();
        let client =
            builder().credential(Credential::user_password("lab", "swordfish-1").unwrap()).build().unwrap();
        let refused = client.stat(format!("ftp://127.0.0.1:{}/f", server.port())).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Authentication, "{refused}");
        let in_url = format!("ftp://lab:swordfish-2@{}:{}/f", "localhost", server.port());
        let refused_too = anonymous().stat(&in_url).await.unwrap_err();
        assert_eq!(refused_too.kind(), ErrorKind::Authentication, "{refused_too}");

        let lines = trace.take();
        assert!(lines.iter().filter(|line| line.contains("> PASS ***")).count() >= 2, "{lines:#?}");
        let all = format!("{lines:?} {refused} {refused:?} {refused_too} {refused_too:?} {client:?}");
        assert!(!all.contains("swordfish"), "{all}");
    });
}

#[test]
fn a_trace_of_a_gsi_login_holds_no_tokens() {
    trusting("observability::a_trace_of_a_gsi_login_holds_no_tokens", |pki| async move {
        let server = Server::gsi(&pki).start();
        std::fs::write(server.dir().join("f"), "hello").unwrap();
        let trace = Trace::start();
        assert_eq!(with_proxy(&pki).size(server.url("f")).await.unwrap(), 5);
        let lines = trace.take();
        let sent: Vec<_> =
            exchanged(&lines).into_iter().filter(|(message, _)| message.starts_with("> ADAT")).collect();
        assert!(!sent.is_empty(), "{lines:#?}");
        for (message, _) in sent {
            assert!(
                message.len() < 40 && (message.ends_with("bytes)") || message.ends_with("***")),
                "{message}"
            );
        }
        // The commands behind the handshake are shown as they were before they were wrapped.
        assert!(exchanged(&lines).iter().any(|(message, _)| message.starts_with("> SIZE ")), "{lines:#?}");
    });
}

#[test]
fn what_a_server_says_is_escaped_and_bounded_in_a_trace() {
    alone("observability::what_a_server_says_is_escaped_and_bounded_in_a_trace", || async {
        let text = "x".repeat(3000);
        let server = Fake::start("220 ready\r\n", move |line| {
            line.starts_with("SIZE").then(|| format!("550 \x1b[2J\u{202e} {text}\r\n"))
        })
        .await;
        let trace = Trace::start();
        anonymous().size(server.url("f")).await.unwrap_err();
        let lines = trace.take();
        let reply = lines.iter().find(|line| line.contains("< 550")).unwrap();
        assert!(!reply.contains('\x1b') && !reply.contains('\u{202e}'), "{reply:?}");
        assert!(reply.len() < 1200, "{}", reply.len());
    });
}

#[test]
fn metrics() {
    alone("observability::metrics", || async {
        let server = Server::anonymous().start();
        let contents = random_bytes(1, 700_001);
        std::fs::write(server.dir().join("f"), &contents).unwrap();
        let client = anonymous();
        let before = client.metrics();
        assert_eq!((before.operations_done, before.bytes_received, before.connects), (0, 0, 0));

        client.stat(server.url("f")).await.unwrap();
        client.size(server.url("absent")).await.unwrap_err();
        let got = client.get(server.url("f")).await.unwrap().bytes().await.unwrap();
        assert_eq!(got, contents);
        client.get(server.url("absent")).await.unwrap_err();
        let mut put = client.put(server.url("g")).await.unwrap();
        put.write(Bytes::from(contents.clone())).await.unwrap();
        put.finish().await.unwrap();
        // What is dropped has neither succeeded nor failed.
        drop(client.get(server.url("f")).await.unwrap());
        let mut many =
            client.get_many([server.url("f"), server.url("absent"), server.url("g")]).await.unwrap();
        let mut outcomes = Vec::new();
        while let Some(mut file) = many.next_file().await.unwrap() {
            outcomes.push(file.bytes().await.map(|contents| contents.len()).ok());
        }
        assert_eq!(outcomes, [Some(700_001), None, Some(700_001)]);

        let after = client.clone().metrics();
        assert_eq!(after.operations_done, 1 + 1 + 1 + 2, "{after:?}");
        assert_eq!(after.operations_failed, 1 + 1 + 1, "{after:?}");
        assert_eq!(after.bytes_received, 3 * 700_001, "{after:?}");
        assert_eq!(after.bytes_sent, 700_001, "{after:?}");
        assert_eq!((after.operations_running, after.operations_waiting), (0, 0));
        assert!(after.commands > 10 && after.replies > 10 && after.logins == after.connects, "{after:?}");
        // The engine's: for the whole process, which is this test's.
        let engine = after.engine;
        assert!(
            engine.bytes_read >= after.bytes_received && engine.bytes_written >= after.bytes_sent,
            "{engine:?}"
        );
        assert!(engine.wakeups > 0 && engine.strays == 0 && engine.panics == 0, "{engine:?}");
        assert_eq!((engine.credentials, engine.contexts), (0, 0), "{engine:?}");
        // A client of its own counts for itself.
        assert_eq!(Client::new().unwrap().metrics().commands, 0);
    });
}

#[test]
fn connection_and_data_channel_cache() {
    alone("observability::connection_and_data_channel_cache", || async {
        let server = Server::anonymous().start();
        let contents = random_bytes(5, 300_000);
        for name in ["a", "b", "c"] {
            std::fs::write(server.dir().join(name), &contents).unwrap();
        }
        let trace = Trace::start();
        let client = builder().idle_timeout(Duration::from_millis(300)).build().unwrap();
        let mut setups = Vec::new();
        for name in ["a", "b", "c"] {
            client.size(server.url(name)).await.unwrap();
            let get = client.get(server.url(name)).mode(TransferMode::ExtendedBlock);
            assert_eq!(get.await.unwrap().bytes().await.unwrap(), contents);
            let lines = trace.take();
            let sent = |verb: &str| {
                exchanged(&lines).iter().filter(|(message, _)| message.starts_with(verb)).count()
            };
            assert_eq!(sent("> RETR "), 1, "{lines:#?}");
            setups.push((sent("> USER "), sent("> MODE "), sent("> PORT ") + sent("> EPRT ")));
        }
        // One login, one set of data connections: the second and the third file need RETR alone.
        assert_eq!(setups, [(1, 1, 1), (0, 0, 0), (0, 0, 0)]);
        assert_eq!(client.metrics().connects, 1);
        // What rests is closed, with a farewell.
        eventually("the session is closed", || client.metrics().sessions_open == 0).await;
        assert!(exchanged(&trace.take()).iter().any(|(message, _)| message.starts_with("> QUIT")));
        // And made again when it is needed.
        client.size(server.url("a")).await.unwrap();
        assert_eq!(client.metrics().connects, 2);
    });
}

#[test]
fn client_info() {
    alone("observability::client_info", || async {
        let server = Server::anonymous().start();
        std::fs::write(server.dir().join("f"), "hello").unwrap();
        let trace = Trace::start();
        let client = builder().application("mover", "7.1").build().unwrap();
        client.size(server.url("f")).await.unwrap();
        let lines = trace.take();
        let told =
            exchanged(&lines).into_iter().find(|(message, _)| message.contains("CLIENTINFO")).unwrap().0;
        assert!(told.contains(r#"appname="mover";appver="7.1";"#), "{told}");
        // The server has nothing against it.
        let position = lines.iter().position(|line| line.contains("CLIENTINFO")).unwrap();
        assert!(
            lines[position..].iter().any(|line| line.contains("< 250") || line.contains("< 200")),
            "{lines:#?}"
        );
    });
}
