use std::net::SocketAddr;

use axum::{Router, routing::get};
use daemon::{
    health::{HealthServer, Readiness},
    shutdown::Shutdown,
    telemetry::Metrics,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_pages_tell_alive_ready_metrics_and_the_daemons_own() {
    let readiness = Readiness::new(["chain"]);
    let metrics = Metrics::install().unwrap();
    metrics::counter!("probity_test_total").increment(3);
    let shutdown = Shutdown::manual();
    let server = HealthServer::bind(
        "127.0.0.1:0".parse().unwrap(),
        readiness.clone(),
        Some(metrics),
    )
    .await
    .unwrap()
    .merge(Router::new().route("/nodes", get(async || "six")));
    let address = server.local_addr().unwrap();
    let serving = tokio::spawn(server.serve(shutdown.clone()));

    assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
    let waiting = fetch(address, "/readyz").await;
    assert!(
        waiting.starts_with("HTTP/1.1 503") && waiting.contains(r#""chain":"starting""#),
        "{waiting}"
    );
    readiness.set_ready("chain");
    assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(
        fetch(address, "/metrics")
            .await
            .contains("probity_test_total 3")
    );
    assert!(fetch(address, "/nodes").await.ends_with("six"));

    shutdown.trigger();
    serving.await.unwrap().unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the listener is closed"
    );
}

#[tokio::test]
async fn a_taken_address_is_a_usage_failure_that_names_it() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let failure = HealthServer::bind(address, Readiness::default(), None)
        .await
        .unwrap_err();
    assert_eq!(failure.code, daemon::exit::ExitCode::Usage);
    assert!(failure.message.contains(&address.to_string()), "{failure}");
}
