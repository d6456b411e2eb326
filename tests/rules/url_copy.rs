//! What C does to its own client: the parts of it that this crate does without have no check that could be switched off, so
//! `globus-url-copy`, which is built on them, stands in for it. Beside it the same server meets this crate.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gridftp::options::{Timeouts, TransferMode};
use gridftp::{Bytes, Client};
use gridftp_lab::hostile::{Act, Hostile, Play, Step, blocks};
use gridftp_lab::{Pki, packages};

/// How long globus-url-copy may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(9);

/// The limit of each wait of ours but the login, which the machine may be too busy for.
const OURS: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exited(i32),
    Killed(i32),
    Hung,
}

fn url_copy(arguments: &[&str], from: &str, to: &str, environment: &[(&str, std::path::PathBuf)]) -> End {
    let program = packages::URL_COPY.program().unwrap_or_else(|error| panic!("{error}"));
    let mut child = Command::new(program)
        .args(arguments)
        .args([from, to])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    match gridftp_lab::ended_within(&mut child, LIMIT) {
        Some(status) => {
            status.code().map_or_else(|| End::Killed(status.signal().unwrap_or_default()), End::Exited)
        }
        None => End::Hung,
    }
}

fn client() -> Client {
    let limits =
        Timeouts::default().connect(Duration::from_secs(20)).reply(OURS).first_byte(OURS).stall(OURS);
    Client::builder().timeouts(limits).build().unwrap()
}

/// One way of asking for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Get,
    GetBlocks,
    Put,
}

/// Ours has to fail in time; gives what became of globus-url-copy.
async fn both(name: &str, way: Way, play: Play) -> End {
    let theirs = Hostile::start(play.clone());
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::write(&own, vec![7; 40_000_000]).unwrap();
    let own = format!("file://{}", own.display());
    let got = format!("file://{}", folder.path().join("got").display());
    let end = tokio::task::spawn_blocking(move || match way {
        Way::Get => url_copy(&[], &theirs.url("/f"), &got, &[]),
        Way::GetBlocks => url_copy(&["-fast", "-p", "2"], &theirs.url("/f"), &got, &[]),
        Way::Put => url_copy(&[], &own, &theirs.url("/new"), &[]),
    });
    let ours = Hostile::start(play);
    let begun = Instant::now();
    let result = async {
        let client = client();
        match way {
            Way::Get => client.get(ours.url("/f")).await?.bytes().await.map(drop),
            Way::GetBlocks => {
                let get = client.get(ours.url("/f")).mode(TransferMode::ExtendedBlock).parallelism(2).await?;
                get.bytes().await.map(drop)
            }
            Way::Put => {
                let mut put = client.put(ours.url("/new")).await?;
                for _ in 0..40 {
                    put.write(Bytes::from(vec![7; 1_000_000])).await?;
                }
                put.finish().await.map(drop)
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), result)
        .await
        .expect("ours ends in time")
        .expect_err(name);
    let took = begun.elapsed();
    let end = end.await.unwrap();
    // Nobody waits twice for the same; a machine that is busy takes its time for the login, and is believed.
    assert!(!matches!(error.kind(), gridftp::ErrorKind::Timeout(gridftp::TimeoutKind::Total)), "{error}");
    println!("{name:<55} ours: {:?} in {:.1} s; globus-url-copy: {end:?}", error.kind(), took.as_secs_f64());
    end
}

fn contents() -> Vec<u8> {
    gridftp_lab::random_bytes(5, 1_000_000)
}

fn play() -> Play {
    Play::new().file("/f", contents())
}

const HALF: Step = Step::Data { after: 500_000 };

#[tokio::test(flavor = "multi_thread")]
async fn k5_a_229_where_227_belongs() {
    let reply = Act::reply("229-Entering\r\nnonsense\r\n229 (|||1|)");
    let end = both("K5", Way::Get, play().at(Step::Command("PASV"), reply)).await;
    assert!(!matches!(end, End::Exited(0)), "{end:?}");
}

/// States that `globus_ftp_client` does not leave, and from which it cannot be called back (§4.2).
#[tokio::test(flavor = "multi_thread")]
async fn s4_2_states_without_an_end() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let refused = || {
        let reply = format!("227 Entering Passive Mode (127,0,0,1,{},{})", port / 256, port % 256);
        play()
            .at(Step::Command("PASV"), Act::reply(reply))
            .at(Step::Command("RETR"), Act::Silence)
            .at(Step::Command("STOR"), Act::Silence)
    };
    let reset = || play().at(HALF, Act::Reset).at(Step::Final, Act::Silence);
    let control_closed = play().at(HALF, Act::CloseControl).at(Step::Data { after: 600_000 }, Act::Silence);
    let early = play().at(HALF, Act::Close).at(Step::Final, Act::Silence);
    let open = play().at(HALF, Act::NoEnd).at(Step::Final, Act::reply("426 no more"));
    let count =
        Act::Wire([blocks::block(0, b"abc"), blocks::header(blocks::EOF | blocks::EOD, 0, 7)].concat());
    let huge = Act::Wire(blocks::header(0, 1 << 62, 0));
    let start = Step::Data { after: 0 };
    let no_end = Act::Wire([blocks::block(0, b"abc"), blocks::eod()].concat());
    let cases = [
        ("a get whose data is reset, control silent", Way::Get, reset()),
        ("a put whose data is reset, control silent", Way::Put, reset()),
        ("a get whose data is refused, control silent", Way::Get, refused()),
        ("a put whose data is refused, control silent", Way::Put, refused()),
        ("a get whose control is closed, data stalled", Way::Get, control_closed),
        ("data ends early, no final reply", Way::Get, early),
        ("426 while the data stays open", Way::Get, open),
        ("E: a wrong count of ends", Way::GetBlocks, play().at(start, count)),
        ("E: an end of data, none of the file", Way::GetBlocks, play().at(start, no_end)),
        ("E: a block of 2^62 bytes", Way::GetBlocks, play().at(start, huge)),
    ];
    let all = cases.map(|(name, way, play)| tokio::spawn(both(name, way, play)));
    let mut hung = 0;
    for case in all {
        hung += usize::from(case.await.unwrap() == End::Hung);
    }
    println!("globus-url-copy hung in {hung} of 10 until {LIMIT:?}");
    assert!(hung >= 5, "C has learned to end: {hung}");
}

#[test]
fn c1_and_c2_memory_errors_from_replies_before_authentication() {
    let pki = Pki::new();
    let environment = pki.env();
    let handshake = |said: &str| {
        let challenge = Act::reply("334 Using authentication type GSSAPI; ADAT must follow.");
        Play::new().at(Step::Command("AUTH"), challenge).at(Step::Command("ADAT"), Act::reply(said))
    };
    // Replies before leave in C's buffer what the decoder then reads (C1).
    let stale = format!("220-{}\r\n220 ready", "A".repeat(900));
    let cases = [
        ("C1: 335 without a token", true, handshake("335 ").at(Step::Greeting, Act::reply(stale))),
        ("C2: 150 to USER", false, play().at(Step::Command("USER"), Act::before("150 wait"))),
        ("C2: 150 to PASS", false, play().at(Step::Command("PASS"), Act::before("150 wait"))),
        ("C2: 150 to ADAT", true, handshake("150 wait\r\n335 ADAT=AAAA")),
    ];
    let mut killed = 0;
    std::thread::scope(|scope| {
        let all = cases.map(|(name, gsi, play)| {
            let environment = &environment;
            scope.spawn(move || {
                let server = Hostile::start(play);
                let url = match gsi {
                    true => format!("gsiftp://localhost:{}/f", server.port()),
                    false => server.url("/f"),
                };
                let end = url_copy(&[], &url, "file:///dev/null", environment);
                println!("{name:<55} globus-url-copy: {end:?}");
                matches!(end, End::Killed(_))
            })
        });
        killed += all.into_iter().map(|case| usize::from(case.join().unwrap())).sum::<usize>();
    });
    // What a use of freed memory comes to is the allocator's choice; ours against the same is `data::tests::c1_…` and `c2_…`.
    assert!(killed >= 1, "C has learned to survive all of it");
}
