//! A server in stream mode that answers as a test tells it, listings too.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What comes of a command.
pub(crate) enum Answer {
    /// What such servers say.
    Usual,
    /// These words, without the line end. Lines of a reply are separated by CR LF.
    Reply(String),
    /// No word; what comes behind is answered.
    Nothing,
    /// 150, these bytes on the data connection, 226.
    Data(Vec<u8>),
    /// 150, and these bytes again and again until the client has had enough.
    Endless(Vec<u8>),
    /// 150, these bytes, and then nothing any more.
    Stuck(Vec<u8>),
}

type Script = dyn Fn(&str) -> Answer + Send + Sync;

#[derive(Debug)]
pub(crate) struct Ftpd {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    cut_off: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Ftpd {
    /// A server with these features, each a line of its reply to FEAT.
    pub(crate) async fn start(
        features: &'static [&'static str],
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, cut_off) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let answer: Arc<Script> = Arc::new(answer);
        let (log, cuts) = (Arc::clone(&heard), Arc::clone(&cut_off));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log, cuts) = (Arc::clone(&answer), Arc::clone(&log), Arc::clone(&cuts));
                // A connection that breaks is the test's wish.
                tokio::spawn(async move { drop(serve(stream, features, &*answer, &log, &cuts).await) });
            }
        });
        Self { port, heard, cut_off, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ftp://127.0.0.1:{}/{path}", self.port)
    }

    /// Commands heard so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How many endless listings were cut off by the client.
    pub(crate) fn cut_off(&self) -> usize {
        self.cut_off.load(Ordering::SeqCst)
    }
}

impl Drop for Ftpd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    features: &[&str],
    answer: &Script,
    log: &Mutex<Vec<String>>,
    cut_off: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(b"220 scripted\r\n").await?;
    let mut lines = BufReader::new(reader).lines();
    let (mut listener, mut stuck) = (None, Vec::new());
    while let Some(line) = lines.next_line().await? {
        log.lock().unwrap().push(line.clone());
        match answer(&line) {
            Answer::Usual => {}
            Answer::Nothing => continue,
            Answer::Reply(words) => {
                writer.write_all(format!("{words}\r\n").as_bytes()).await?;
                continue;
            }
            answer @ (Answer::Data(_) | Answer::Endless(_) | Answer::Stuck(_)) => {
                let listener: TcpListener = listener.take().unwrap();
                writer.write_all(b"150 it comes\r\n").await?;
                let (mut data, _) = listener.accept().await?;
                match answer {
                    Answer::Data(bytes) => data.write_all(&bytes).await?,
                    Answer::Stuck(bytes) => {
                        data.write_all(&bytes).await?;
                        stuck.push(data);
                        continue;
                    }
                    Answer::Endless(bytes) => {
                        while data.write_all(&bytes).await.is_ok() {}
                        cut_off.fetch_add(1, Ordering::SeqCst);
                        writer.write_all(b"426 cut off\r\n").await?;
                        continue;
                    }
                    _ => {}
                }
                drop(data);
                writer.write_all(b"226 that was it\r\n").await?;
                continue;
            }
        }
        match line.split(' ').next().unwrap_or_default() {
            "USER" => writer.write_all(b"331 password?\r\n").await?,
            "PASS" => writer.write_all(b"230 in\r\n").await?,
            "FEAT" => {
                let lines: String = features.iter().map(|feature| format!(" {feature}\r\n")).collect();
                writer.write_all(format!("211-these\r\n{lines}211 end\r\n").as_bytes()).await?;
            }
            "TYPE" | "MODE" | "NOOP" => writer.write_all(b"200 good\r\n").await?,
            "PASV" => {
                let data = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let [high, low] = data.local_addr()?.port().to_be_bytes();
                listener = Some(data);
                writer.write_all(format!("227 here (127,0,0,1,{high},{low})\r\n").as_bytes()).await?;
            }
            _ => writer.write_all(b"502 never heard of it\r\n").await?,
        }
    }
    Ok(())
}
