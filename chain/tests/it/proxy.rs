//! An HTTP endpoint in front of a chain that spoils answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

/// What the proxy does.
#[derive(Clone, Copy)]
pub enum Mode {
    /// Hands a request with these words on, and hangs up before the answer.
    LoseAnswerTo(&'static str),
    /// Takes connections and never answers.
    Silent,
}

/// A running proxy; counts what it spoiled.
pub struct Proxy {
    pub address: SocketAddr,
    spoiled: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn start(target: u16, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let spoiled = Arc::new(AtomicUsize::new(0));
        let counter = spoiled.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, target, mode, counter.clone()));
            }
        });
        Self { address, spoiled }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spoiled(&self) -> usize {
        self.spoiled.load(Ordering::SeqCst)
    }
}

/// One connection, one request, so that every request is looked at.
async fn serve(mut client: TcpStream, target: u16, mode: Mode, spoiled: Arc<AtomicUsize>) {
    let words = match mode {
        Mode::Silent => {
            spoiled.fetch_add(1, Ordering::SeqCst);
            return std::future::pending().await;
        }
        Mode::LoseAnswerTo(words) => words,
    };
    let mut head = Vec::new();
    while !complete(&head) {
        let mut part = [0; 4096];
        match client.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&part[..read]),
        }
    }
    let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
    let request = String::from_utf8_lossy(&head).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(request.as_bytes()).await.unwrap();
    if request.contains(words) {
        // The request has arrived once there is an answer; nobody gets to see it.
        let _ = server.read(&mut [0; 4096]).await;
        spoiled.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let _ = copy(&mut server, &mut client).await;
}

/// Whether the bytes are a whole HTTP request with a content length.
fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse::<usize>()
                .ok()
        })
        .unwrap_or(0);
    body.len() >= length
}
