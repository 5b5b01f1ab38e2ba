//! An issuer of tokens that can be told to misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;

/// How the issuer answers who asks for its keys.
#[derive(Clone)]
pub(super) enum Answer {
    Keys(Vec<Value>),
    Status(u16),
    Garbage,
    /// A body without an end.
    Endless,
    HangUp,
    /// It takes the connection and never answers.
    Silence,
}

pub(super) struct Issuer {
    url: String,
    answer: watch::Sender<Answer>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Issuer {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let answer = watch::Sender::new(answer);
        let asked = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(listener, answer.clone(), Arc::clone(&asked)));
        Self {
            url,
            answer,
            asked,
            serving,
        }
    }

    pub(super) fn jwks(&self) -> JwksSource {
        JwksSource::parse(&self.url).unwrap()
    }

    /// Answers like this from now on.
    pub(super) fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, answer: watch::Sender<Answer>, asked: Arc<AtomicUsize>) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _ = connection.read(&mut request).await;
        asked.fetch_add(1, Ordering::SeqCst);
        let now = answer.borrow().clone();
        tokio::spawn(reply(connection, now));
    }
}

/// One answer per connection. That the client hangs up first is part of the game.
async fn reply(mut connection: TcpStream, answer: Answer) {
    match answer {
        Answer::Keys(keys) => respond(&mut connection, 200, &key_set(&keys)).await,
        Answer::Status(status) => respond(&mut connection, status, b"").await,
        Answer::Garbage => respond(&mut connection, 200, b"<html>\xff").await,
        Answer::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            let mut sent = connection.write_all(head).await;
            while sent.is_ok() {
                sent = connection.write_all(&[b' '; 4_096]).await;
            }
        }
        Answer::HangUp => drop(connection),
        Answer::Silence => std::future::pending().await,
    }
}

async fn respond(connection: &mut TcpStream, status: u16, body: &[u8]) {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = connection.write_all(head.as_bytes()).await;
    let _ = connection.write_all(body).await;
}
