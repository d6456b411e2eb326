//! Servers for tests, played line by line: what no real server would say, when it would not say it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The server's end of one connection.
pub(crate) struct Peer {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// Which connection this is, from 0.
    pub(crate) number: usize,
}

impl Peer {
    fn new(stream: TcpStream, number: usize) -> Self {
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, number }
    }

    /// The next line without its end; `None` when the client has closed.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end_matches("\r\n").to_owned()),
        }
    }

    /// What has arrived, after waiting for something to arrive; no more than one read gives.
    pub(crate) async fn burst(&mut self) -> String {
        let mut buffer = vec![0; 64 * 1024];
        let count = self.reader.read(&mut buffer).await.unwrap_or(0);
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// Throws away what was read and not looked at, as servers do that take one command at a time.
    pub(crate) fn forget(&mut self) {
        let length = self.reader.buffer().len();
        self.reader.consume(length);
    }

    /// Sends text as it is, or nothing when the client has gone.
    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.writer.write_all(text.as_ref()).await;
    }

    /// Closes by a reset, which may overtake what was said.
    pub(crate) fn reset(self) {
        let stream = self.reader.into_inner().reunite(self.writer).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    }

    /// Reads lines until the client closes.
    pub(crate) async fn until_closed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        lines
    }

    /// Greets, then answers whatever a well-behaved server would.
    pub(crate) async fn behave(mut self) {
        self.say("220 ready\r\n").await;
        self.go_on().await;
    }

    /// Answers as [`Peer::behave`], without the greeting.
    pub(crate) async fn go_on(mut self) {
        while let Some(line) = self.line().await {
            let answer = ordinary_answer(&line);
            self.say(answer).await;
            if line == "QUIT" {
                return;
            }
        }
    }
}

/// What a well-behaved server says. `SIZE /name/n` is n.
pub(crate) fn ordinary_answer(line: &str) -> String {
    match line.split(' ').next().unwrap_or_default() {
        "USER" => "331 password?\r\n".to_owned(),
        "PASS" => "230 welcome\r\n".to_owned(),
        "FEAT" => "211-Extensions\r\n SIZE\r\n MLST type*;size*;\r\n211 End\r\n".to_owned(),
        "TYPE" | "NOOP" => "200 fine\r\n".to_owned(),
        "QUIT" => "221 bye\r\n".to_owned(),
        "SIZE" => format!("213 {}\r\n", line.rsplit('/').next().unwrap_or("0")),
        "MKD" => "257 made\r\n".to_owned(),
        "RNFR" => "350 to?\r\n".to_owned(),
        "RNTO" | "DELE" | "RMD" => "250 done\r\n".to_owned(),
        _ => "500 what?\r\n".to_owned(),
    }
}

/// A listening server that counts its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Plays `script` on each connection, all at the same time. Ends with the test's runtime.
    pub(crate) async fn start<F>(script: impl Fn(Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(Peer::new(stream, number)));
            }
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ftp://{}{path}", self.address)
    }
}

/// Waits, up to ten seconds, until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "waited in vain until {what}");
}
