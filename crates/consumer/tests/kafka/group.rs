//! For tests of a group with several members: handlers that record their calls, and a member that handles nothing.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use kafka::{GroupTimeouts, KafkaConfig};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::Semaphore;

use mock_kafka::{Broker, GROUP, PARTITIONS, Running, TOPIC};

/// The mock cluster holds every rebalance open for a second less than this, so short is quick; but the first one it
/// holds open for 3 s whatever the session, and a shorter session would expire in it.
pub(crate) const SESSION: Duration = Duration::from_secs(4);

/// The payload of an event whose handler waits for the gate of its partition.
pub(crate) const WAIT: &str = "wait";

/// The payload of an event whose handler waits to be let go one step.
pub(crate) const STEP: &str = "step";

/// More than any test has handlers waiting.
const EVERYTHING: usize = 1_000;

/// A record by its place in the topic.
pub(crate) type Place = (i32, i64);

/// The calls of all handlers, in order.
#[derive(Default)]
struct Notes {
    begun: Vec<Place>,
    finished: Vec<Handled>,
    /// Members and their in-flight keys.
    in_flight: HashSet<(&'static str, Vec<u8>)>,
    /// Keys that one member had in flight twice at the same time.
    overlaps: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Handled {
    pub(crate) member: &'static str,
    pub(crate) place: Place,
    pub(crate) key: String,
    pub(crate) payload: String,
}

/// A journal that all handlers write, and gates for each partition that hold some of them up.
pub(crate) struct Journal {
    notes: Mutex<Notes>,
    gates: Vec<Semaphore>,
    steps: Vec<Semaphore>,
}

impl Journal {
    pub(crate) fn new() -> Arc<Self> {
        let closed = || (0..PARTITIONS).map(|_| Semaphore::new(0)).collect();
        Arc::new(Self {
            notes: Mutex::default(),
            gates: closed(),
            steps: closed(),
        })
    }

    /// A handler that writes here under a member's name.
    pub(crate) fn member(self: &Arc<Self>, name: &'static str) -> Arc<dyn Handler> {
        Arc::new(Member {
            name,
            journal: Arc::clone(self),
        })
    }

    /// Lets this many handlers pass that wait at the gate of the partition.
    pub(crate) fn open(&self, partition: i32, times: usize) {
        of(&self.gates, partition).add_permits(times);
    }

    /// Lets one step of the partition go.
    pub(crate) fn take_step(&self, partition: i32) {
        of(&self.steps, partition).add_permits(1);
    }

    pub(crate) fn open_everything(&self) {
        let all = self.gates.iter().chain(&self.steps);
        all.for_each(|gate| gate.add_permits(EVERYTHING));
    }

    pub(crate) fn times_begun(&self, place: Place) -> usize {
        let notes = self.notes.lock().unwrap();
        notes.begun.iter().filter(|begun| **begun == place).count()
    }

    pub(crate) fn times_finished(&self, place: Place) -> usize {
        let finished = self.finished();
        finished.iter().filter(|done| done.place == place).count()
    }

    pub(crate) fn finished(&self) -> Vec<Handled> {
        self.notes.lock().unwrap().finished.clone()
    }

    pub(crate) fn of_key(&self, key: &str) -> Vec<String> {
        let finished = self.finished().into_iter();
        finished
            .filter(|done| done.key == key)
            .map(|done| done.payload)
            .collect()
    }

    /// Each event's key and payload, when it was finished for the first time.
    pub(crate) fn first_of_each(&self) -> HashMap<String, Vec<String>> {
        let mut seen = HashSet::new();
        let mut by_key: HashMap<String, Vec<String>> = HashMap::new();
        for done in self.finished() {
            if seen.insert(done.place) {
                by_key.entry(done.key).or_default().push(done.payload);
            }
        }
        by_key
    }

    pub(crate) fn overlaps(&self) -> Vec<String> {
        self.notes.lock().unwrap().overlaps.clone()
    }
}

fn of(gates: &[Semaphore], partition: i32) -> &Semaphore {
    &gates[usize::try_from(partition).unwrap()]
}

struct Member {
    name: &'static str,
    journal: Arc<Journal>,
}

#[async_trait]
impl Handler for Member {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let place = (delivery.partition, delivery.offset);
        let key = delivery.key.clone().unwrap_or_default();
        let payload =
            String::from_utf8_lossy(delivery.payload.as_deref().unwrap_or_default()).into_owned();
        let shown = String::from_utf8_lossy(&key).into_owned();
        {
            let mut notes = self.journal.notes.lock().unwrap();
            notes.begun.push(place);
            if !notes.in_flight.insert((self.name, key.clone())) {
                notes.overlaps.push(shown.clone());
            }
        }
        let gates = match payload.as_str() {
            WAIT => Some(&self.journal.gates),
            STEP => Some(&self.journal.steps),
            _ => None,
        };
        if let Some(gates) = gates {
            of(gates, place.0).acquire().await.unwrap().forget();
        }
        let mut notes = self.journal.notes.lock().unwrap();
        notes.in_flight.remove(&(self.name, key));
        notes.finished.push(Handled {
            member: self.name,
            place,
            key: shown,
            payload,
        });
        Ok(())
    }
}

/// A member with a short session that gives handlers this long when a partition is revoked.
pub(crate) fn start_member(broker: &Broker, drain: Duration, handler: Arc<dyn Handler>) -> Running {
    let kafka = KafkaConfig {
        group: GroupTimeouts {
            session: SESSION,
            drain,
        },
        ..broker.config()
    };
    broker.start_member(&kafka, handler)
}

/// A member of the same group that takes partitions, handles nothing and commits nothing.
pub(crate) struct Squatter {
    leave: Arc<AtomicBool>,
    assigned: Arc<Mutex<Vec<i32>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Squatter {
    pub(crate) fn join(broker: &Broker) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker.config().brokers)
            .set("group.id", GROUP)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION.as_millis().to_string())
            .set("heartbeat.interval.ms", "1000")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        let leave = Arc::new(AtomicBool::new(false));
        let assigned = Arc::new(Mutex::default());
        let (leaves, assignment) = (Arc::clone(&leave), Arc::clone(&assigned));
        let thread = std::thread::spawn(move || {
            while !leaves.load(Ordering::Acquire) {
                let _ = consumer.poll(Duration::from_millis(20));
                let partitions = consumer.assignment().unwrap();
                let partitions = partitions.elements();
                *assignment.lock().unwrap() = partitions.iter().map(|p| p.partition()).collect();
            }
        });
        Self {
            leave,
            assigned,
            thread,
        }
    }

    pub(crate) fn assigned(&self) -> Vec<i32> {
        self.assigned.lock().unwrap().clone()
    }

    pub(crate) async fn leave(self) {
        self.leave.store(true, Ordering::Release);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
    }
}
