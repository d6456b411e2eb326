//! A server that says what a test wants it to say, for what real servers do too seldom.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a data connection gets after the 150.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) bytes: &'static [u8],
    /// The connection is closed and 226 said; otherwise nothing happens any more.
    pub(crate) ends: bool,
}

#[derive(Debug)]
pub(crate) struct Fake {
    port: u16,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
    early: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

type Answer = dyn Fn(&str) -> Option<String> + Send + Sync;

struct Script {
    greeting: &'static str,
    /// The reply to a command, where it is not the usual one. An empty one is silence.
    answer: Box<Answer>,
    data: Data,
    heard: Arc<Mutex<Vec<String>>>,
    /// How often the data comes before the 150, if it does, and how much of it was sent.
    early: Option<(usize, Arc<AtomicU64>)>,
}

impl Fake {
    /// A server that greets and answers like this; every other command gets the usual answer.
    pub(crate) async fn start(
        greeting: &'static str,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self::with_data(greeting, answer, Data { bytes: b"", ends: true }).await
    }

    pub(crate) async fn with_data(
        greeting: &'static str,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        data: Data,
    ) -> Self {
        Self::started(greeting, answer, data, None).await
    }

    /// A server that sends its data as soon as there is a connection, so many times, and says so afterwards.
    pub(crate) async fn in_a_hurry(data: Data, times: usize) -> Self {
        Self::started("220 ready\r\n", |_| None, data, Some(times)).await
    }

    async fn started(
        greeting: &'static str,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        data: Data,
        early_times: Option<usize>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heard) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let early = Arc::<AtomicU64>::default();
        let script = Arc::new(Script {
            greeting,
            answer: Box::new(answer),
            data,
            heard: Arc::clone(&heard),
            early: early_times.map(|times| (times, Arc::clone(&early))),
        });
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                // A connection that breaks is the test's wish.
                tokio::spawn(async move { drop(script.serve(stream).await) });
            }
        });
        Self { port, connections, heard, early, task }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("ftp://127.0.0.1:{}/{name}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Connections made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Bytes that were sent before they were announced.
    pub(crate) fn sent_early(&self) -> u64 {
        self.early.load(Ordering::SeqCst)
    }

    /// Commands heard so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        writer.write_all(self.greeting.as_bytes()).await?;
        if !self.greeting.starts_with("220 ") {
            // What comes without a greeting is over, or hangs until the client goes away.
            return if self.greeting.is_empty() { std::future::pending().await } else { Ok(()) };
        }
        let mut lines = BufReader::new(reader).lines();
        let mut listener = None;
        let mut open = Vec::new();
        while let Some(line) = lines.next_line().await? {
            self.heard.lock().unwrap().push(line.clone());
            if let Some(reply) = (self.answer)(&line) {
                writer.write_all(reply.as_bytes()).await?;
                continue;
            }
            match line.split(' ').next().unwrap_or_default() {
                "USER" => writer.write_all(b"331 password?\r\n").await?,
                "PASS" => writer.write_all(b"230 in\r\n").await?,
                "FEAT" => {
                    let features = b"211-these\r\n SIZE\r\n MDTM\r\n MLST Type*;Size*;\r\n211 end\r\n";
                    writer.write_all(features).await?;
                }
                "TYPE" | "MODE" | "NOOP" => writer.write_all(b"200 good\r\n").await?,
                "SIZE" => writer.write_all(b"213 10\r\n").await?,
                "PASV" => {
                    let data = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                    let [high, low] = data.local_addr()?.port().to_be_bytes();
                    listener = Some(data);
                    writer.write_all(format!("227 here (127,0,0,1,{high},{low})\r\n").as_bytes()).await?;
                }
                "RETR" => {
                    let Some(listener) = listener.take() else {
                        writer.write_all(b"503 PASV first\r\n").await?;
                        continue;
                    };
                    if self.early.is_none() {
                        writer.write_all(b"150 it comes\r\n").await?;
                    }
                    let (mut data, _) = listener.accept().await?;
                    match &self.early {
                        None => data.write_all(self.data.bytes).await?,
                        Some((times, sent)) => {
                            for _ in 0..*times {
                                data.write_all(self.data.bytes).await?;
                                sent.fetch_add(self.data.bytes.len() as u64, Ordering::SeqCst);
                            }
                            writer.write_all(b"150 it came\r\n").await?;
                        }
                    }
                    if self.data.ends {
                        drop(data);
                        writer.write_all(b"226 that was it\r\n").await?;
                    } else {
                        open.push(data);
                    }
                }
                _ => writer.write_all(b"502 never heard of it\r\n").await?,
            }
        }
        Ok(())
    }
}
