//! An HTTP endpoint in front of a chain that spoils answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
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
    /// Refuses an `eth_getLogs` over more blocks, or with more results.
    Limit { blocks: u64, logs: usize },
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
    if let Mode::Silent = mode {
        spoiled.fetch_add(1, Ordering::SeqCst);
        return std::future::pending().await;
    }
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
    match mode {
        Mode::LoseAnswerTo(words) if request.contains(words) => {
            // The request has arrived once there is an answer; nobody gets to see it.
            let _ = server.read(&mut [0; 4096]).await;
            spoiled.fetch_add(1, Ordering::SeqCst);
        }
        Mode::Limit { blocks, logs } if request.contains("eth_getLogs") => {
            let mut answer = String::new();
            server.read_to_string(&mut answer).await.unwrap();
            let [calls, mut answers] = [&request, &answer].map(|text| body(text));
            spoiled.fetch_add(limit(&calls, &mut answers, blocks, logs), Ordering::SeqCst);
            let answers = answers.to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!(
                "{head}\r\ncontent-length: {}\r\n\r\n{answers}",
                answers.len()
            );
            client.write_all(answer.as_bytes()).await.unwrap();
        }
        _ => {
            let _ = copy(&mut server, &mut client).await;
        }
    }
}

/// The JSON of an HTTP message.
fn body(message: &str) -> Value {
    serde_json::from_str(message.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Puts an error in the place of each answer of a batch that is too large; how many were.
fn limit(calls: &Value, answers: &mut Value, blocks: u64, logs: usize) -> usize {
    let number = |value: &Value| {
        let digits = value.as_str().unwrap().trim_start_matches("0x");
        u64::from_str_radix(digits, 16).unwrap()
    };
    let mut refused = 0;
    for call in calls.as_array().unwrap() {
        if call["method"] != "eth_getLogs" {
            continue;
        }
        let filter = &call["params"][0];
        let asked = number(&filter["toBlock"]) - number(&filter["fromBlock"]) + 1;
        let answer = answers
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|answer| answer["id"] == call["id"])
            .unwrap();
        let error = if asked > blocks {
            json!({"code": -32_602, "message": format!("exceed maximum block range: {blocks}")})
        } else if answer["result"].as_array().unwrap().len() > logs {
            json!({"code": -32_005, "message": format!("query returned more than {logs} results")})
        } else {
            continue;
        };
        *answer = json!({"jsonrpc": "2.0", "id": call["id"], "error": error});
        refused += 1;
    }
    refused
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
