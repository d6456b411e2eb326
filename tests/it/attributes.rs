//! What can be chosen for a transfer, each on a real server: named after the rows of the C library's attributes.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gridftp::options::{DataChannelAuth, Delegation, ProtectionLevel, TcpBuffer, TransferMode};
use gridftp::{Client, Credential, ErrorKind};
use gridftp_lab::{Pki, Server, random_bytes, sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fake::Fake;
use crate::support::{WAYS, anonymous, builder, trusting, with_proxy};

const MODES: [TransferMode; 2] = [TransferMode::Stream, TransferMode::ExtendedBlock];

/// Stands between client and server, and hears both. (The server logs no commands.)
struct Relay {
    port: u16,
    heard: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, behind) = (Arc::<Mutex<String>>::default(), server.port());
        let ears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, behind)).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(listen(from_client, to_server, Arc::clone(&ears)));
                tokio::spawn(listen(from_server, to_client, Arc::clone(&ears)));
            }
        });
        Self { port, heard, task }
    }

    fn url(&self, server: &Server, name: &str) -> String {
        server.url(name).replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    /// How often a line began like this.
    fn count(&self, start: &str) -> usize {
        self.heard().lines().filter(|line| line.starts_with(start)).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        heard.lock().unwrap().push_str(&format!("{line}\n"));
        if to.write_all(format!("{line}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Puts a file with what the setters choose, and fetches it the same way.
macro_rules! both_ways {
    ($client:expr, $server:expr, $mode:expr, $name:expr $(, $setter:ident($($value:expr),*))*) => {
        both_ways!(at $server.url($name), $client, $server, $mode, $name $(, $setter($($value),*))*)
    };
    (at $url:expr, $client:expr, $server:expr, $mode:expr, $name:expr $(, $setter:ident($($value:expr),*))*) => {{
        let (client, server): (&Client, &Server) = ($client, $server);
        let contents = random_bytes(7, 1_200_001);
        let url = $url;
        let mut put = client.put(&url).mode($mode)$(.$setter($($value),*))*.await.unwrap();
        for piece in contents.chunks(300_000) {
            put.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(put.finish().await.unwrap().bytes, contents.len() as u64);
        assert_eq!(sha256(&std::fs::read(server.dir().join($name)).unwrap()), sha256(&contents));
        let get = client.get(&url).mode($mode)$(.$setter($($value),*))*.await.unwrap();
        assert_eq!(sha256(&get.bytes().await.unwrap()), sha256(&contents));
    }};
}

#[tokio::test]
async fn mode_s_e_parallelism_tcp_buffer() {
    let server = Server::anonymous().start();
    let relay = Relay::before(&server).await;
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for (mode, streams) in WAYS {
        for size in [TcpBuffer::Auto, TcpBuffer::Fixed(65_536), TcpBuffer::Fixed(4 << 20)] {
            both_ways!(at relay.url(&server, "f"), &client, &server, mode, "f", parallelism(streams), tcp_buffer(size));
        }
    }
    for command in
        ["MODE E", "OPTS RETR Parallelism=4,4,4;", "SBUF 65536", "SBUF 4194304", "SBUF 0", "PORT", "PASV"]
    {
        assert!(relay.count(command) > 0, "the server did not hear {command}: {}", relay.heard());
    }
}

#[tokio::test]
async fn only_what_changed_is_said() {
    let server = Server::anonymous().start();
    let relay = Relay::before(&server).await;
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for _ in 0..3 {
        both_ways!(at relay.url(&server, "f"), &client, &server, TransferMode::Stream, "f", tcp_buffer(65_536));
    }
    let counts = ["SBUF", "MODE", "OPTS", "SITE SET"].map(|start| relay.count(start));
    assert_eq!(counts, [1, 0, 0, 0], "{}", relay.heard());
}

#[tokio::test]
async fn allo_client_info() {
    let server = Server::anonymous().start();
    let relay = Relay::before(&server).await;
    let client = builder().application("attributes-test", "7.3").build().unwrap();
    let url = relay.url(&server, "f");
    let mut put = client.put(&url).allocate(12_345).await.unwrap();
    put.write(Bytes::from(vec![1; 12_345])).await.unwrap();
    put.finish().await.unwrap();
    assert_eq!(relay.count("ALLO 12345"), 1, "{}", relay.heard());
    let told = "SITE CLIENTINFO scheme=ftp;appname=\"attributes-test\";appver=\"7.3\";";
    assert_eq!(relay.count(told), 1, "{}", relay.heard());
    let error = client.put(&url).allocate(u64::MAX).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn delayed_pasv() {
    let server = Server::anonymous().start();
    let relay = Relay::before(&server).await;
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    let url = |name: &str| relay.url(&server, name);
    for mode in MODES {
        // Where it is off again afterwards, the server does not delay any more.
        both_ways!(at url("f"), &client, &server, mode, "f", delayed_passive(true));
        both_ways!(at url("f"), &client, &server, mode, "f", delayed_passive(false));
    }
    let missing = client.get(url("missing")).delayed_passive(true).await.map(drop).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    both_ways!(at url("f"), &client, &server, TransferMode::Stream, "f", delayed_passive(true));
    // Two streams twice, and the put of extended blocks.
    assert!(relay.count("127 Entering Passive Mode") >= 5, "{}", relay.heard());
    assert!(relay.count("OPTS PASV AllowDelayed=0;") > 0, "{}", relay.heard());
}

#[tokio::test]
async fn a_server_that_does_not_delay_says_so() {
    let fake = Fake::start("220 ready\r\n", |_| None).await;
    let error = anonymous().get(fake.url("f")).delayed_passive(true).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(!fake.heard().iter().any(|line| line.starts_with("RETR")), "{:?}", fake.heard());
}

#[tokio::test]
async fn xio_disk_stack() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    let contents = random_bytes(2, 800_000);
    std::fs::write(&input, &contents).unwrap();
    let server = Server::anonymous()
        .args([
            "-fs-whitelist",
            "popen,file,ordering",
            "-popen-whitelist",
            "cat:/bin/cat,sum:/usr/bin/sha256sum",
        ])
        .start();
    std::fs::write(server.dir().join("f"), "a file").unwrap();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    let run = |command: String| client.get(server.url("f")).disk_stack([format!("popen:argv=#{command}")]);

    // A command at the server is run, and what it prints is read.
    let read = run(format!("cat#{}", input.display())).await.unwrap().bytes().await.unwrap();
    assert_eq!(sha256(&read), sha256(&contents));
    let sum = run(format!("sum#{}", input.display())).await.unwrap().bytes().await.unwrap();
    assert_eq!(sum.split(|&byte| byte == b' ').next().unwrap(), sha256(&contents).as_bytes());

    // The next operation on the same session sees files again.
    assert_eq!(client.get(server.url("f")).await.unwrap().bytes().await.unwrap(), "a file");
    both_ways!(&client, &server, TransferMode::Stream, "g", disk_stack(["file"]));

    for drivers in [vec!["nonsense"], vec!["file", "gsi"]] {
        let refused = client.get(server.url("f")).disk_stack(drivers).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    }
    let bad = client.get(server.url("f")).disk_stack(["file\r\nDELE x"]).await.map(drop).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidInput, "{bad}");
}

#[tokio::test]
async fn xio_net_stack() {
    let server = Server::anonymous().args(["-dc-whitelist", "tcp,gsi"]).start();
    let client = builder().sessions_per_endpoint(1).build().unwrap();
    for mode in MODES {
        both_ways!(&client, &server, mode, "f", net_stack(["tcp"]));
        both_ways!(&client, &server, mode, "f");
    }
    let refused = |error: gridftp::Error, kind, part: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let get = |drivers: &[&str]| client.get(server.url("f")).net_stack(drivers.iter().copied());
    refused(get(&["udt"]).await.map(drop).unwrap_err(), ErrorKind::Unsupported, "udt");
    refused(get(&["tcp", "gsi"]).await.map(drop).unwrap_err(), ErrorKind::InvalidInput, "authentication");
    refused(get(&["tcp,gsi"]).await.map(drop).unwrap_err(), ErrorKind::InvalidInput, "tcp,gsi");
    let closed = Server::anonymous().args(["-dc-whitelist", "gsi"]).start();
    let error = client.get(closed.url("f")).net_stack(["tcp"]).await.map(drop).unwrap_err();
    refused(error, ErrorKind::Unsupported, "network drivers");
}

#[test]
fn xio_net_stack_with_protection() {
    trusting("attributes::xio_net_stack_with_protection", |pki| async move {
        let server = Server::gsi(&pki).args(["-dc-whitelist", "tcp,gsi"]).start();
        let client = with_proxy(&pki);
        for mode in MODES {
            // gsi is put on top by itself, or the server would send clear text.
            let private = ProtectionLevel::Private;
            both_ways!(&client, &server, mode, "f", net_stack(["tcp"]), protection(private));
            both_ways!(&client, &server, mode, "f", net_stack(["tcp", "gsi"]), protection(private));
        }
    });
}

#[tokio::test]
async fn storage_module() {
    let fake = Fake::start("220 ready\r\n", |_| None).await;
    let client = anonymous();
    let get = client.get(fake.url("f")).storage_module("hpss", "cos=3; a b");
    let put = client.put(fake.url("g")).storage_module("hpss", "");
    // The scripted server has no modules: what counts is what it was asked.
    assert!(get.await.map(drop).is_err() && put.await.map(drop).is_err());
    let heard = fake.heard();
    assert!(
        heard
            .iter()
            .any(|line| line == "ERET hpss=\"cos=3; a b\" f" || line == "ERET hpss=\"cos=3; a b\" /f"),
        "{heard:?}"
    );
    assert!(heard.iter().any(|line| line.starts_with("ESTO hpss=\"\" ")), "{heard:?}");
    assert!(!heard.iter().any(|line| line.starts_with("RETR") || line.starts_with("STOR")), "{heard:?}");
    for (name, arguments) in [("a b", ""), ("", ""), ("a", "\""), ("a", "\r\nDELE x")] {
        let bad = client.get(fake.url("f")).storage_module(name, arguments).await.map(drop).unwrap_err();
        assert_eq!(bad.kind(), ErrorKind::InvalidInput, "{bad}");
    }
}

#[tokio::test]
async fn ipv6() {
    let server = Server::anonymous().ipv6().start();
    let client = anonymous();
    for (mode, streams) in WAYS {
        both_ways!(&client, &server, mode, "f", parallelism(streams));
    }
    both_ways!(&client, &server, TransferMode::Stream, "f", delayed_passive(true));
    let only_v4 = builder().allow_ipv6(false).build().unwrap();
    let error = only_v4.size(server.url("f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resolve, "{error}");
    let v4 = Server::anonymous().start();
    for mode in MODES {
        both_ways!(&only_v4, &v4, mode, "f");
    }
}

#[test]
fn ipv6_over_gsi() {
    trusting("attributes::ipv6_over_gsi", |pki| async move {
        let server = Server::gsi(&pki).ipv6().start();
        let client = with_proxy(&pki);
        // Not every machine has ::1 as an address of localhost, and the certificate is for that name.
        let url = || server.url("f").replace("//localhost:", "//[::1]:");
        let subject = "/O=Lab/CN=localhost";
        for mode in MODES {
            both_ways!(at url(), &client, &server, mode, "f", subject(subject));
            both_ways!(at url(), &client, &server, mode, "f", subject(subject), protection(ProtectionLevel::Private));
        }
    });
}

#[tokio::test]
async fn ipv6_striped() {
    let server = Server::anonymous().ipv6().start();
    both_ways!(&anonymous(), &server, TransferMode::ExtendedBlock, "f", striped(true));
}

#[test]
fn dcau_none_self_subject() {
    trusting("attributes::dcau_none_self_subject", |pki: Pki| async move {
        let server = Server::gsi(&pki).start();
        std::fs::write(server.dir().join("there"), random_bytes(9, 500_000)).unwrap();
        let client = with_proxy(&pki);
        let subject = DataChannelAuth::Subject(pki.user_subject().to_owned());
        for mode in MODES {
            both_ways!(&client, &server, mode, "f", dcau(DataChannelAuth::None));
            both_ways!(&client, &server, mode, "f", dcau(DataChannelAuth::OwnIdentity));
            both_ways!(&client, &server, mode, "f", dcau(subject.clone()));
            let private = ProtectionLevel::Private;
            both_ways!(&client, &server, mode, "f", dcau(subject.clone()), protection(private));
            // Somebody else is not who is there: nothing arrives, either way.
            let other = DataChannelAuth::Subject("/O=Lab/CN=Somebody Else".to_owned());
            let get = client.get(server.url("there")).mode(mode).dcau(other.clone());
            let got = async { get.await?.bytes().await }.await;
            assert!(got.is_err(), "{mode:?}: {} bytes came from somebody else", got.unwrap().len());
            let put = async {
                let mut put = client.put(server.url("new")).mode(mode).dcau(other).await?;
                put.write(Bytes::from(vec![1; 100_000])).await?;
                put.finish().await
            };
            assert!(put.await.is_err(), "{mode:?}");
        }
        for bad in ["CN=x", "", "/O=x/E=a@b", "/CN=a\r\nb"] {
            let auth = DataChannelAuth::Subject(bad.to_owned());
            let error = client.get(server.url("there")).dcau(auth).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}: {error}");
        }
    });
}

#[test]
fn data_prot_clear_safe_private_control_prot() {
    trusting("attributes::data_prot_clear_safe_private_control_prot", |pki| async move {
        let server = Server::gsi(&pki).start();
        let client = builder()
            .credential(Credential::from_proxy_file(pki.proxy()))
            .sessions_per_endpoint(1)
            .build()
            .unwrap();
        for mode in MODES {
            // Up and down again on one session: the server is told each time.
            use ProtectionLevel::{Clear, Private, Safe};
            for level in [Private, Clear, Safe, Private, Safe, Clear] {
                both_ways!(
                    &client,
                    &server,
                    mode,
                    "f",
                    dcau(DataChannelAuth::OwnIdentity),
                    protection(level)
                );
            }
        }
    });
}

#[tokio::test]
async fn protection_that_cannot_be_had_is_an_error_before_any_data() {
    let fake = Fake::start("220 ready\r\n", |_| None).await;
    let real = Server::anonymous().start();
    std::fs::write(real.dir().join("f"), "hello").unwrap();
    let client = anonymous();
    for url in [fake.url("f"), real.url("f")] {
        for level in [ProtectionLevel::Safe, ProtectionLevel::Private] {
            let get = client.get(&url).protection(level).await.map(drop).unwrap_err();
            assert_eq!(get.kind(), ErrorKind::Unsupported, "{get}");
            let put = client.put(&url).protection(level).await.map(drop).unwrap_err();
            assert_eq!(put.kind(), ErrorKind::Unsupported, "{put}");
        }
        let own = client.get(&url).dcau(DataChannelAuth::OwnIdentity).await.map(drop).unwrap_err();
        assert_eq!(own.kind(), ErrorKind::Unsupported, "{own}");
        let none = client.get(&url).dcau(DataChannelAuth::None).protection(ProtectionLevel::Private);
        assert_eq!(none.await.map(drop).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let heard = fake.heard();
    assert!(!heard.iter().any(|line| line.starts_with("RETR") || line.starts_with("STOR")), "{heard:?}");
    assert_eq!(std::fs::read_to_string(real.dir().join("f")).unwrap(), "hello");
}

#[test]
fn turn_delegation_off() {
    trusting("attributes::turn_delegation_off", |pki| async move {
        let server = Server::gsi(&pki).start();
        let never = builder()
            .credential(Credential::from_proxy_file(pki.proxy()))
            .delegation(Delegation::Never)
            .build()
            .unwrap();
        for mode in MODES {
            both_ways!(&never, &server, mode, "f");
        }
        let subject = DataChannelAuth::Subject(pki.user_subject().to_owned());
        for refused in [
            never.get(server.url("f")).protection(ProtectionLevel::Safe).await.map(drop).unwrap_err(),
            never.put(server.url("f")).protection(ProtectionLevel::Private).await.map(drop).unwrap_err(),
            never.get(server.url("f")).dcau(DataChannelAuth::OwnIdentity).await.map(drop).unwrap_err(),
            never.get(server.url("f")).dcau(subject).await.map(drop).unwrap_err(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
            assert!(refused.to_string().contains("delegated"), "{refused}");
        }
    });
}

#[test]
fn dcsc_data_credential() {
    trusting("attributes::dcsc_data_credential", |pki| async move {
        let server = Server::gsi(&pki).start();
        let proxy = || Credential::from_proxy_file(pki.proxy());
        let never = builder().credential(proxy()).delegation(Delegation::Never).build().unwrap();
        for mode in MODES {
            // Private data channels without delegation: both ends show the credential that was given for them.
            let private = ProtectionLevel::Private;
            both_ways!(&never, &server, mode, "f", data_credential(proxy()), protection(private));
            both_ways!(&never, &server, mode, "f", data_credential(proxy()));
            // And none of it on the sessions of everybody else.
            both_ways!(&never, &server, mode, "f");
        }
        let clear = Server::anonymous().start();
        let error = anonymous().get(clear.url("f")).data_credential(proxy()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    });
}

#[tokio::test]
async fn authz_assertions() {
    let server = Server::anonymous().start();
    let relay = Relay::before(&server).await;
    let url = || relay.url(&server, "f");
    let client = anonymous();
    both_ways!(at url(), &client, &server, TransferMode::Stream, "f", authz_assertion("a word for you"));
    assert_eq!(relay.count("SITE AUTHZ_ASSERT a word for you"), 1, "{}", relay.heard());
    let told = builder().authz_assertion("for all operations").build().unwrap();
    told.size(url()).await.unwrap();
    assert_eq!(relay.count("SITE AUTHZ_ASSERT for all operations"), 1, "{}", relay.heard());
    // A session that heard one is nobody else's.
    let logins = relay.count("USER");
    client.get(url()).await.unwrap().bytes().await.unwrap();
    assert_eq!((relay.count("USER"), relay.count("SITE AUTHZ_ASSERT")), (logins + 1, 2));

    let fake = Fake::start("220 ready\r\n", |_| None).await;
    let refused = client.get(fake.url("f")).authz_assertion("x").await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    let bad = client.get(url()).authz_assertion("x\r\nDELE f").await.map(drop).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidInput, "{bad}");
    assert!(!bad.to_string().contains("DELE"), "{bad}");
}

#[test]
fn credential_per_operation_side() {
    trusting("attributes::credential_per_operation_side", |pki| async move {
        let server = Server::gsi(&pki).start();
        let none = builder().build().unwrap();
        let refused = none.get(server.url("f")).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Authentication, "{refused}");
        let own = Credential::from_proxy_file(pki.proxy());
        both_ways!(&none, &server, TransferMode::Stream, "f", credential(own.clone()));
        let untrusted = Credential::from_proxy_file(pki.untrusted_proxy());
        let refused =
            with_proxy(&pki).get(server.url("f")).credential(untrusted).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Authentication, "{refused}");
    });
}
