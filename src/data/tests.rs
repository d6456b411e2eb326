//! What a session checks about replies, data and files, each with what comes of it without the check.
//!
//! The servers are scripted ones of the lab where no real server would do such a thing.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gridftp_lab::hostile::{Act, Hostile, Play, Splice, Step, blocks};
use gridftp_lab::{Pki, Server};

use crate::hooks::Outcome::{self, Corrupt, Killed, Well};
use crate::hooks::{bites, bites_in_children, is_child, this_test};
use crate::options::Timeouts;
use crate::{Client, Credential, ErrorKind};

/// Limits that keep a hang short.
fn limits() -> Timeouts {
    let limit = Duration::from_secs(4);
    Timeouts::default().connect(limit).reply(limit).first_byte(limit).stall(limit)
}

fn client() -> Client {
    Client::builder().timeouts(limits()).build().unwrap()
}

fn contents(name: &str) -> String {
    name.repeat(1000)
}

/// Plays a scenario in children that trust a CA of their own, whose name they link to what `X509_CERT_DIR` says.
fn with_trust<F: Future<Output = Outcome>>(
    test: &str,
    check: &str,
    ends: &[Outcome],
    scenario: impl Fn(Pki) -> F,
) {
    let folder = (!is_child()).then(|| tempfile::tempdir().unwrap());
    let path = folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default();
    let environment = [
        ("X509_CERT_DIR", path.join("certificates")),
        ("X509_USER_PROXY", path.join("no-proxy")),
        ("HOME", path.clone()),
    ];
    bites_in_children(test, check, ends, &environment, || {
        let pki = Pki::new();
        let link = std::env::var_os("X509_CERT_DIR").unwrap();
        let _earlier = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(pki.ca_dir(), link).unwrap();
        scenario(pki)
    });
}

#[test]
fn c1_tokens_of_a_handshake_that_are_none() {
    // There is no check to be switched off: the control half of C, which this kills, is not used. See tests/rules.
    let scenario = |pki: Pki| async move {
        for said in [
            "335 ",
            "335 ADAT",
            "335 ADAT=",
            "335 ADAT=!",
            "335 ADAT=AAAA",
            "335 x ADAT=AA==",
            "235 ADAT=",
            "235 in",
        ] {
            let play = Play::new()
                .at(
                    Step::Command("AUTH"),
                    Act::reply("334 Using authentication type GSSAPI; ADAT must follow."),
                )
                .at(Step::Command("ADAT"), Act::reply(said));
            let server = Hostile::start(play);
            let client = Client::builder()
                .timeouts(limits())
                .credential(Credential::from_proxy_file(pki.proxy()))
                .build()
                .unwrap();
            let url = format!("gsiftp://localhost:{}/f", server.port());
            match client.size(&url).await {
                Err(error) if matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Authentication) => {}
                _ => return Corrupt,
            }
        }
        Well
    };
    with_trust(this_test!(), "C1", &[Well], scenario);
}

#[tokio::test]
async fn c2_preliminary_replies_where_none_belongs() {
    for verb in ["USER", "PASS", "FEAT", "TYPE", "SIZE", "QUIT"] {
        let play = Play::new()
            .file("/f", "1234567890")
            .at(Step::Command(verb), Act::before("150 not yet\r\n151 wait"));
        let server = Hostile::start(play);
        let client = client();
        assert_eq!(client.size(&server.url("/f")).await.unwrap(), 10, "{verb}");
        drop(client);
    }
}

#[test]
fn c5_a_clear_reply_on_a_protected_channel() {
    with_trust(this_test!(), "C5", &[Corrupt], |pki| async move {
        let server = Server::gsi(&pki).start();
        std::fs::write(server.dir().join("f"), "1234567890").unwrap();
        let splice = Splice::before(server.port(), "230 Logged in, says who is in between.\r\n", false);
        let client = Client::builder()
            .timeouts(limits())
            .credential(Credential::from_proxy_file(pki.proxy()))
            .build()
            .unwrap();
        let url = server.url("f").replace(&format!(":{}/", server.port()), &format!(":{}/", splice.port()));
        match client.size(&url).await {
            Err(error) if error.to_string().contains("clear text") => Well,
            // The words were taken for the server's, and every later reply for the answer to another command.
            _ => Corrupt,
        }
    });
}

#[test]
fn c7_the_end_of_a_channel_without_the_end_of_its_data() {
    bites(this_test!(), "a receiver of our own", &[Killed], || async {
        let close = Act::Wire(blocks::header(blocks::CLOSE, 0, 0));
        let play = Play::new().file("/f", vec![7; 1000]).at(Step::Data { after: 0 }, close);
        let server = Hostile::start(play);
        match client().get(server.url("/f")).parallelism(2).await.unwrap().bytes().await {
            Err(error) if error.kind() == ErrorKind::Protocol => Well,
            _ => Corrupt,
        }
    });
}

#[test]
fn s3_3_less_than_was_announced() {
    bites(this_test!(), "size", &[Corrupt], || async {
        let play = Play::new().file("/f", vec![7; 1000]).at(Step::Data { after: 500 }, Act::End);
        let server = Hostile::start(play);
        match client().get(server.url("/f")).await.unwrap().bytes().await {
            Err(error) if error.kind() == ErrorKind::Truncated => Well,
            _ => Corrupt,
        }
    });
}

#[test]
fn s3_4_an_end_that_the_server_does_not_confirm() {
    bites(this_test!(), "confirmation", &[Corrupt], || async {
        let server = Hostile::start(Play::new().file("/f", vec![7; 1000]).at(Step::Final, Act::Silence));
        match client().get(server.url("/f")).await.unwrap().bytes().await {
            Err(error) if matches!(error.kind(), ErrorKind::Timeout(_)) => Well,
            _ => Corrupt,
        }
    });
}

#[test]
fn s12_an_address_that_is_not_the_servers() {
    bites(this_test!(), "the server's own address", &[Corrupt], || async {
        let thief = TcpListener::bind("127.0.0.99:0").unwrap();
        let port = thief.local_addr().unwrap().port();
        let stolen = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stolen);
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = thief.accept() {
                seen.store(true, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 1000]);
            }
        });
        let reply = format!("227 Entering Passive Mode (127,0,0,99,{},{})", port / 256, port % 256);
        let server = Hostile::start(Play::new().at(Step::Command("PASV"), Act::reply(reply)));
        let put = async {
            let mut put = client().put(server.url("/f")).await?;
            put.write(Bytes::from_static(b"a secret")).await?;
            put.finish().await
        };
        let _error = put.await.unwrap_err();
        if stolen.load(Ordering::SeqCst) { Corrupt } else { Well }
    });
}

/// A way to a server on which its replies take longer, from the first one on that begins a transfer.
fn late_replies(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut down));
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                let mut late = false;
                while let Ok(count @ 1..) = server.read(&mut bytes) {
                    late |= bytes[..count].windows(4).any(|word| word == b"150 " || word == b"125 ");
                    if late {
                        std::thread::sleep(Duration::from_millis(300));
                    }
                    if client.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn pipeline_data_that_overtakes_the_replies() {
    bites(this_test!(), "a run for an accepted file", &[Corrupt], || async {
        let mut play = Play::new();
        for name in ["a", "c", "d"] {
            play = play.file(&format!("/{name}"), contents(name));
        }
        let server = Hostile::start(play);
        // The replies say what is what long after the data of the files is here.
        let late = late_replies(server.port());
        let names = ["a", "b", "c", "d"];
        let client = client();
        let urls = names.map(|name| format!("ftp://127.0.0.1:{late}/{name}"));
        let mut many = client.get_many(urls).await.unwrap();
        let mut good = 0;
        while let Ok(Some(mut file)) = many.next_file().await {
            let name = names[file.index()];
            let mut got = Vec::new();
            loop {
                match file.next_block().await {
                    Ok(Some(block)) => got.extend_from_slice(&block.data),
                    Ok(None) => {
                        good += 1;
                        break;
                    }
                    Err(_) => break,
                }
            }
            // Whatever is shown of a file is the file's.
            if !contents(name).as_bytes().starts_with(&got) || (name == "b" && !got.is_empty()) {
                return Corrupt;
            }
        }
        if good == 3 { Well } else { Corrupt }
    });
}

#[test]
fn pipeline_a_store_that_is_refused_in_a_batch() {
    bites(this_test!(), "fresh channels behind a refusal", &[Corrupt], || async {
        let (from, to) = (Server::anonymous().start(), Server::anonymous().start());
        let names: Vec<_> = (0..20).map(|n| format!("f{n:02}")).collect();
        for name in &names {
            // All of one length: sizes tell nothing.
            std::fs::write(from.dir().join(name), contents(name)).unwrap();
        }
        // One destination is in a folder that is not there: STOR is refused, while RETR is not.
        let place = |name: &str| if name == "f07" { format!("no-folder/{name}") } else { name.to_owned() };
        let pairs: Vec<_> = names.iter().map(|name| (from.url(name), to.url(place(name)))).collect();
        let client = client();
        let mut many = client.third_party_many(pairs).await.unwrap();
        let mut good = 0;
        while let Some(outcome) = many.next_outcome().await {
            if outcome.result.is_ok() {
                let name = &names[outcome.index];
                good += 1;
                if std::fs::read(to.dir().join(name)).ok() != Some(contents(name).into_bytes()) {
                    return Corrupt;
                }
            }
        }
        if good == 19 { Well } else { Corrupt }
    });
}

#[test]
fn pipeline_a_put_that_is_refused_behind_its_data() {
    bites(this_test!(), "a fresh channel behind a refused put", &[Corrupt], || async {
        let server = Server::anonymous().start();
        let names: Vec<_> = (0..20).map(|n| format!("f{n:02}")).collect();
        // One is in a folder that is not there. All of one length: sizes tell nothing.
        let place = |name: &str| if name == "f07" { format!("no-folder/{name}") } else { name.to_owned() };
        let mut many = client().put_many(server.url_root()).await.unwrap();
        let sender = many.sender();
        for (index, name) in (0..).zip(&names) {
            let file = crate::PutFile::new(server.url(place(name)).parse().unwrap(), contents(name));
            sender.send(index, file).await.unwrap();
        }
        many.finish_input();
        let mut good = 0;
        while let Some(outcome) = many.next_outcome().await {
            let name = &names[usize::try_from(outcome.index).unwrap()];
            if outcome.result.is_ok() {
                good += 1;
                if std::fs::read(server.dir().join(name)).ok() != Some(contents(name).into_bytes()) {
                    return Corrupt;
                }
            }
        }
        if good == 19 { Well } else { Corrupt }
    });
}

/// Gets files through a pipeline; every one that ends well has to be what it is. Gives how many did.
async fn all_true(server: &Hostile, names: &[String]) -> usize {
    let client = client();
    let begun = Instant::now();
    let mut good = 0;
    let urls: Vec<_> = names.iter().map(|name| server.url(&format!("/{name}"))).collect();
    let Ok(mut many) = client.get_many(urls).await else { return 0 };
    let mut seen = 0;
    // An error of the pipeline's own ends it.
    while let Ok(Some(mut file)) = many.next_file().await {
        seen += 1;
        let name = &names[file.index()];
        if let Ok(bytes) = file.bytes().await {
            assert_eq!(bytes, contents(name), "{name}");
            good += 1;
        }
        assert!(seen <= names.len(), "a file came twice");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    good
}

fn names(count: usize) -> (Vec<String>, Play) {
    let names: Vec<_> = (0..count).map(|n| format!("f{n:03}")).collect();
    let play = names.iter().fold(Play::new(), |play, name| play.file(&format!("/{name}"), contents(name)));
    (names, play)
}

#[tokio::test]
async fn pipeline_a_server_that_does_not_queue_commands() {
    let (names, play) = names(8);
    // The login notices it by five seconds of silence behind PASS, and the connection's limit has room for that.
    let server = Hostile::start(play.drops_queued_commands().greeting("an FTP server"));
    let limit = Duration::from_secs(20);
    let client = Client::builder().timeouts(limits().connect(limit).reply(limit)).build().unwrap();
    let urls: Vec<_> = names.iter().map(|name| server.url(&format!("/{name}"))).collect();
    let mut many = client.get_many(urls).await.unwrap();
    let mut good = 0;
    while let Some(mut file) = many.next_file().await.unwrap() {
        let name = &names[file.index()];
        assert_eq!(file.bytes().await.unwrap(), contents(name), "{name}");
        good += 1;
    }
    assert_eq!(good, 8);
}

#[tokio::test]
async fn pipeline_a_server_that_is_a_reply_short() {
    for verb in ["SIZE", "RETR"] {
        let (names, play) = names(12);
        let server = Hostile::start(play.at(Step::Command(verb), Act::Nothing).skip(4).times(1));
        let good = all_true(&server, &names).await;
        assert!(good >= 3, "{verb}: {good}");
    }
    let (names, play) = names(12);
    let server = Hostile::start(play.at(Step::Final, Act::Nothing).skip(4).times(1));
    assert!(all_true(&server, &names).await >= 3);
}

#[tokio::test]
async fn pipeline_a_server_that_is_a_reply_ahead() {
    for (step, words) in [
        (Step::Final, "226 once more\r\n"),
        (Step::Final, "550 no\r\n"),
        (Step::Command("SIZE"), "213 4000\r\n"),
        (Step::Command("SIZE"), "226 done\r\n"),
        (Step::Accepted, "226 done\r\n"),
    ] {
        let (names, play) = names(12);
        let server = Hostile::start(play.at(step, Act::After(words.into())).skip(4).times(1));
        let good = all_true(&server, &names).await;
        assert!(good >= 3, "{step:?} {words}: {good}");
    }
}
