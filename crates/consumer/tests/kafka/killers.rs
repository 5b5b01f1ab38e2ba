//! A poison pill that kills every process: isolated, while the records beside it are handled.
//!
//! The members are processes: this test program, run again with `a_mortal_member` alone. That is the body of a process, no
//! check, and is ignored so that a run of all tests does not start it: it would abort the program.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use kafka::{GroupTimeouts, KafkaConfig};
use tokio::sync::Barrier;

use super::group::SESSION;
use mock_kafka::retry_store::TestRetryStore;
use mock_kafka::{Broker, DEAD_LETTERS, LONG_RETRY, eventually, start_member};

/// The environment of a member.
const BROKERS: &str = "TEST_BROKERS";
const DATABASE: &str = "TEST_DATABASE";
const JOURNAL: &str = "TEST_JOURNAL";
const LIFE: &str = "TEST_LIFE";

const KILLER: &str = "killer";
const INNOCENT: [&str; 3] = ["innocent-0", "innocent-1", "innocent-2"];

/// Processes that die with all records in flight: the poison pill is not known yet.
const LIVES_TOGETHER: u32 = 3;

/// Aborts on one payload, and notes the others in a file.
struct Mortal {
    journal: PathBuf,
    life: u32,
    /// Passed when all are in flight.
    all: Barrier,
}

impl Mortal {
    fn note(&self, payload: &str) {
        use std::io::Write;
        let mut journal = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.journal)
            .unwrap();
        writeln!(journal, "{payload}").unwrap();
    }
}

#[async_trait]
impl Handler for Mortal {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let payload = String::from_utf8(delivery.payload.clone().unwrap()).unwrap();
        if self.life <= LIVES_TOGETHER {
            self.all.wait().await;
            std::process::abort();
        }
        if payload == KILLER {
            std::process::abort();
        }
        self.note(&payload);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that another test starts, and that may die"]
async fn a_mortal_member() {
    let setting = |name| std::env::var(name).unwrap();
    let kafka = KafkaConfig {
        group: GroupTimeouts {
            session: SESSION,
            ..GroupTimeouts::default()
        },
        ..KafkaConfig::plaintext(setting(BROKERS))
    };
    let handler = Mortal {
        journal: setting(JOURNAL).into(),
        life: setting(LIFE).parse().unwrap(),
        all: Barrier::new(INNOCENT.len() + 1),
    };
    let retry_store = TestRetryStore::at(&setting(DATABASE));
    let _member = start_member(&kafka, LONG_RETRY, Arc::new(handler), retry_store);
    std::future::pending::<()>().await;
}

async fn start(broker: &Broker, journal: &Path, life: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kafka::killers::a_mortal_member", "--ignored"])
        .env(BROKERS, broker.config().brokers)
        .env(DATABASE, broker.retry_store.url().await)
        .env(JOURNAL, journal)
        .env(LIFE, life.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn until_dead(mut member: Child) {
    let died = tokio::task::spawn_blocking(move || member.wait().unwrap());
    assert!(!died.await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_kills_the_process_is_set_aside_and_those_in_flight_beside_it_are_handled() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    broker.publish_to(0, INNOCENT[0], INNOCENT[0]).await;
    for payload in [KILLER, INNOCENT[1], INNOCENT[2]] {
        broker.publish_to(0, payload, payload).await;
    }

    // The third process after the first crash knows two crashes with all four records in flight: each is handled alone.
    for life in 1..=LIVES_TOGETHER + 1 {
        until_dead(start(&broker, &journal, life).await).await;
        assert!(
            broker.retry_store.rows().await.is_empty(),
            "condemned too early"
        );
    }
    let mut last = start(&broker, &journal, LIVES_TOGETHER + 2).await;

    eventually("everything is done", async || {
        broker.committed(0).await == 4
    })
    .await;
    let rows = broker.retry_store.rows().await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0].payload().as_str(), rows[0].state.as_str()),
        (KILLER, "DEAD")
    );
    assert_eq!(rows[0].fault_class.as_deref(), Some("killed-the-process"));
    let letters = broker.read(DEAD_LETTERS);
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0].header("x-dlq-error-class"),
        Some("killed-the-process")
    );
    let handled = std::fs::read_to_string(&journal).unwrap();
    assert!(
        INNOCENT.iter().all(|payload| handled.contains(payload)),
        "{handled}"
    );
    assert!(!handled.contains(KILLER));
    last.kill().unwrap();
    last.wait().unwrap();
}
