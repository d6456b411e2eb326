//! A GridFTP server in extended block mode that does not rename over files, as dCache does not.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Files = BTreeMap<String, Vec<u8>>;

/// Everything that it holds, and what it heard.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) files: Files,
    pub(crate) heard: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Strict {
    port: u16,
    pub(crate) state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Strict {
    pub(crate) async fn start(files: Files) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { files, heard: Vec::new() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { drop(serve(stream, state).await) });
            }
        });
        Self { port, state, task }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("ftp://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(b"220 strict GridFTP\r\n").await?;
    let mut lines = BufReader::new(reader).lines();
    let (mut listener, mut data, mut from): (Option<TcpListener>, Option<TcpStream>, _) = (None, None, None);
    while let Some(line) = lines.next_line().await? {
        state.lock().unwrap().heard.push(line.clone());
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let reply = match verb {
            "USER" => "331 password?".to_owned(),
            "PASS" => "230 in".to_owned(),
            "FEAT" => "211-these\r\n SIZE\r\n ESTO\r\n PARALLEL\r\n211 end".to_owned(),
            "TYPE" | "MODE" | "OPTS" | "NOOP" | "SITE" => "200 good".to_owned(),
            "PASV" => {
                data = None;
                let new = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let [high, low] = new.local_addr()?.port().to_be_bytes();
                listener = Some(new);
                format!("227 here (127,0,0,1,{high},{low})")
            }
            "STOR" => {
                if data.is_none() {
                    data = match &listener {
                        Some(listener) => Some(listener.accept().await?.0),
                        None => None,
                    };
                }
                writer.write_all(b"150 it comes\r\n").await?;
                let contents = match &mut data {
                    Some(data) => blocks(data).await,
                    None => Err(std::io::ErrorKind::NotConnected.into()),
                };
                match contents {
                    Ok(contents) => {
                        state.lock().unwrap().files.insert(argument.to_owned(), contents);
                        "226 stored".to_owned()
                    }
                    Err(_) => {
                        (data, listener) = (None, None);
                        "426 it broke".to_owned()
                    }
                }
            }
            "SIZE" => match state.lock().unwrap().files.get(argument) {
                Some(contents) => format!("213 {}", contents.len()),
                None => "550 no such file".to_owned(),
            },
            "DELE" => match state.lock().unwrap().files.remove(argument) {
                Some(_) => "250 deleted".to_owned(),
                None => "550 no such file".to_owned(),
            },
            "RNFR" => {
                from = Some(argument.to_owned());
                "350 to?".to_owned()
            }
            "RNTO" => {
                let files = &mut state.lock().unwrap().files;
                if files.contains_key(argument) {
                    "553 File exists".to_owned()
                } else if let Some(contents) = from.take().and_then(|from| files.remove(&from)) {
                    files.insert(argument.to_owned(), contents);
                    "250 renamed".to_owned()
                } else {
                    "550 no such file".to_owned()
                }
            }
            _ => "502 never heard of it".to_owned(),
        };
        writer.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// One file from one connection.
async fn blocks(data: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    loop {
        let descriptor = data.read_u8().await?;
        let (count, offset) = (data.read_u64().await?, data.read_u64().await?);
        let (at, count) = (usize::try_from(offset).unwrap(), usize::try_from(count).unwrap());
        if count > 0 {
            contents.resize(contents.len().max(at + count), 0);
            data.read_exact(&mut contents[at..at + count]).await?;
        }
        // End of data.
        if descriptor & 8 != 0 {
            return Ok(contents);
        }
    }
}
