//! A JWKS endpoint with faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;

#[derive(Clone)]
pub(super) enum IssuerAnswer {
    Keys(Vec<Value>),
    Status(u16),
    Garbage,
    /// A body that never ends.
    Endless,
    HangUp,
    /// Accepts the connection and never answers.
    Silence,
}

pub(super) struct FaultyIssuer {
    url: String,
    answer: watch::Sender<IssuerAnswer>,
    requests: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl FaultyIssuer {
    pub(super) async fn start(answer: IssuerAnswer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let answer = watch::Sender::new(answer);
        let requests = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(listener, answer.clone(), Arc::clone(&requests)));
        Self {
            url,
            answer,
            requests,
            serving,
        }
    }

    pub(super) fn jwks(&self) -> JwksSource {
        JwksSource::parse(&self.url).unwrap()
    }

    /// Sets the answer from now on.
    pub(super) fn answer(&self, answer: IssuerAnswer) {
        self.answer.send_replace(answer);
    }

    /// Number of requests.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyIssuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    listener: TcpListener,
    answer: watch::Sender<IssuerAnswer>,
    requests: Arc<AtomicUsize>,
) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _ = connection.read(&mut request).await;
        requests.fetch_add(1, Ordering::SeqCst);
        let now = answer.borrow().clone();
        tokio::spawn(reply(connection, now));
    }
}

/// One answer per connection. Write errors are ignored: the client may close first.
async fn reply(mut connection: TcpStream, answer: IssuerAnswer) {
    match answer {
        IssuerAnswer::Keys(keys) => respond(&mut connection, 200, &key_set(&keys)).await,
        IssuerAnswer::Status(status) => respond(&mut connection, status, b"").await,
        IssuerAnswer::Garbage => respond(&mut connection, 200, b"<html>\xff").await,
        IssuerAnswer::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            let mut sent = connection.write_all(head).await;
            while sent.is_ok() {
                sent = connection.write_all(&[b' '; 4_096]).await;
            }
        }
        IssuerAnswer::HangUp => drop(connection),
        IssuerAnswer::Silence => std::future::pending().await,
    }
}

async fn respond(connection: &mut TcpStream, status: u16, body: &[u8]) {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = connection.write_all(head.as_bytes()).await;
    let _ = connection.write_all(body).await;
}
