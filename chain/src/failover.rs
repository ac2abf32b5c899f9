//! Several endpoints, one after the other. Never a race: the fastest answer may be the one of a node that lags behind.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    primitives::U64,
    rpc::{
        client::RpcClient,
        json_rpc::{ErrorPayload, RequestPacket, ResponsePacket},
    },
    transports::{
        RpcError, TransportError, TransportErrorKind, TransportFut,
        http::{Client as HttpClient, Http, reqwest},
    },
};
use tower::Service;

use crate::{ChainError, logs::limits_size};

/// How often the list of endpoints is gone through before a call fails.
const ROUNDS: u32 = 2;

/// Pause before the list is gone through again.
const PAUSE: Duration = Duration::from_millis(250);

/// A transport over a list of endpoints. It stays with one until that fails, then goes on with the next.
#[derive(Clone)]
pub(crate) struct Failover {
    shared: Arc<Shared>,
}

struct Shared {
    endpoints: Vec<Endpoint>,
    /// Index of the endpoint that answered last.
    current: AtomicUsize,
    deadline: Duration,
    chain_id: u64,
}

struct Endpoint {
    http: Http<HttpClient>,
    /// Host and port. The rest of the URL may hold an access key and is never shown.
    name: String,
    /// Whether it has said the right chain id since it last failed.
    checked: AtomicBool,
}

impl Failover {
    /// Takes the endpoints in order of preference.
    ///
    /// # Errors
    /// [`ChainError::BadEndpoint`].
    pub(crate) fn new(
        urls: &[String],
        chain_id: u64,
        deadline: Duration,
    ) -> Result<Self, ChainError> {
        if urls.is_empty() {
            return Err(ChainError::BadEndpoint {
                index: 0,
                why: "there is none".to_owned(),
            });
        }
        let client = HttpClient::new();
        let endpoints = urls
            .iter()
            .enumerate()
            .map(|(index, url)| {
                Endpoint::new(client.clone(), url)
                    .map_err(|why| ChainError::BadEndpoint { index, why })
            })
            .collect::<Result<_, _>>()?;
        let shared = Shared {
            endpoints,
            current: AtomicUsize::new(0),
            deadline,
            chain_id,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Endpoint {
    fn new(client: HttpClient, url: &str) -> Result<Self, String> {
        let url: reqwest::Url = url.parse().map_err(|error| format!("{error}"))?;
        if url.scheme() != "http" {
            return Err(format!(
                "found scheme {:?}; only http is spoken here, put TLS in front of it",
                url.scheme()
            ));
        }
        let host = url.host_str().ok_or("it names no host")?;
        let name = match url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            http: Http::with_client(client, url),
            name,
            checked: AtomicBool::new(false),
        })
    }
}

impl Shared {
    async fn send(&self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = Err(TransportErrorKind::custom_str("no endpoint"));
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            for step in 0..self.endpoints.len() {
                let index = (first + step) % self.endpoints.len();
                let endpoint = &self.endpoints[index];
                let answer = self.ask(endpoint, request.clone()).await;
                let why = match &answer {
                    Ok(response) => match trouble(response) {
                        None => {
                            self.current.store(index, Ordering::Relaxed);
                            return answer;
                        }
                        Some(error) => error.message.to_string(),
                    },
                    Err(error) => error.to_string(),
                };
                tracing::warn!(endpoint = endpoint.name, why, "chain endpoint failed");
                endpoint.checked.store(false, Ordering::Relaxed);
                last = answer;
            }
        }
        last
    }

    /// One request to one endpoint, which has to serve the right chain.
    async fn ask(
        &self,
        endpoint: &Endpoint,
        request: RequestPacket,
    ) -> Result<ResponsePacket, TransportError> {
        if !endpoint.checked.load(Ordering::Relaxed) {
            let client = RpcClient::new(endpoint.http.clone(), true);
            let asked = client.request_noparams::<U64>("eth_chainId");
            let actual = self
                .in_time(endpoint, asked.into_future())
                .await?
                .to::<u64>();
            if actual != self.chain_id {
                return Err(TransportErrorKind::custom(ChainError::WrongChain {
                    endpoint: endpoint.name.clone(),
                    expected: self.chain_id,
                    actual,
                }));
            }
            endpoint.checked.store(true, Ordering::Relaxed);
        }
        let mut http = endpoint.http.clone();
        self.in_time(endpoint, http.call(request)).await
    }

    async fn in_time<T>(
        &self,
        endpoint: &Endpoint,
        call: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(answer) => answer.map_err(|error| without_url(endpoint, error)),
            Err(_) => {
                let why = format!(
                    "{} did not answer within {} s",
                    endpoint.name,
                    self.deadline.as_secs_f32()
                );
                Err(TransportErrorKind::custom_str(&why))
            }
        }
    }
}

impl Service<RequestPacket> for Failover {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move { shared.send(request).await })
    }
}

/// The first error in a response that says more about the endpoint than about the request: another may well answer.
fn trouble(response: &ResponsePacket) -> Option<&ErrorPayload> {
    /// Limit exceeded, resource unavailable or not found (EIP-1474), internal error, and HTTP's too many requests.
    const CODES: [i64; 5] = [-32_005, -32_002, -32_001, -32_603, 429];
    /// How clients say that they do not have a block or its state.
    const WORDS: [&str; 8] = [
        "header not found",
        "block not found",
        "unknown block",
        "missing trie node",
        "blockoutofrange",
        "rate limit",
        "too many requests",
        "syncing",
    ];
    response.iter_errors().find(|error| {
        let message = error.message.to_lowercase();
        // A query that is too large is the caller's to make smaller.
        let is_verdict =
            error.as_revert_data().is_some() || message.contains("revert") || limits_size(&message);
        !is_verdict
            && (CODES.contains(&error.code) || WORDS.iter().any(|word| message.contains(word)))
    })
}

/// reqwest quotes the whole URL, which may hold an access key; and it keeps the useful part for the cause.
fn without_url(endpoint: &Endpoint, error: TransportError) -> TransportError {
    match error {
        RpcError::Transport(TransportErrorKind::Custom(inner)) => {
            match inner.downcast::<reqwest::Error>() {
                Ok(error) => {
                    let error = error.without_url();
                    let mut why = format!("{}: {error}", endpoint.name);
                    let mut cause = error.source();
                    while let Some(inner) = cause {
                        why = format!("{why}: {inner}");
                        cause = inner.source();
                    }
                    TransportErrorKind::custom_str(&why)
                }
                Err(other) => RpcError::Transport(TransportErrorKind::Custom(other)),
            }
        }
        RpcError::DeserError { err, .. } => TransportErrorKind::custom_str(&format!(
            "{} answered no JSON-RPC: {err}",
            endpoint.name
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    fn response(error: &str) -> ResponsePacket {
        serde_json::from_str(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#)).unwrap()
    }

    #[test]
    fn a_revert_is_an_answer_and_a_missing_block_is_not() {
        for answer in [
            r#"{"code":3,"message":"execution reverted","data":"0x"}"#,
            r#"{"code":-32603,"message":"execution reverted: paused"}"#,
            r#"{"code":-32003,"message":"nonce too low"}"#,
            r#"{"code":-32005,"message":"query returned more than 10000 results"}"#,
            r#"{"code":-32000,"message":"insufficient funds for gas * price + value"}"#,
        ] {
            assert!(trouble(&response(answer)).is_none(), "{answer}");
        }
        for no_answer in [
            r#"{"code":-32000,"message":"header not found"}"#,
            r#"{"code":-32602,"message":"BlockOutOfRangeError: block height is 5 but requested was 10"}"#,
            r#"{"code":-32005,"message":"limit exceeded"}"#,
            r#"{"code":-32603,"message":"internal"}"#,
        ] {
            assert!(trouble(&response(no_answer)).is_some(), "{no_answer}");
        }
    }

    #[test]
    fn endpoints_that_are_no_http_urls_are_named_by_place() {
        let refused = |urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            Failover::new(&urls, 1, Duration::from_secs(1))
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&["http://a:1", "b:2"]).contains("endpoint 1"));
        assert!(refused(&["ws://a:1"]).contains("ws"));
        assert!(refused(&[]).contains("there is none"));
    }
}
