//! Counts from the logs of the servers: PostgreSQL logs every statement with the name of the session, Apache Kafka every
//! completed request as JSON. Sessions and clients of the tests have other names and are not counted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;
use tests::system::{Process, Service, System};
use tokio::time::Instant;

/// Position in the WAL, in bytes.
const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";

/// Of a statement, for display; the statements of the services differ within it.
const SHOWN: usize = 90;

/// Asks a session that was idle whether its server still takes writes. How often depends on the time between two orders.
const CHECK_OF_A_SESSION: &str = "DISCARD PLANS; SHOW transaction_read_only";

/// Reads the counters of a system.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    system: &'a System,
    database_log: PathBuf,
    broker_log: PathBuf,
}

/// Counts since the start, of a time, or per order.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// By service and text.
    statements: BTreeMap<(&'static str, String), f64>,
    /// To Kafka, by name.
    requests: BTreeMap<String, f64>,
    wal: f64,
    read: Instant,
    seconds: f64,
}

impl<'a> Meter<'a> {
    pub(super) fn of(system: &'a System) -> Self {
        let log = |service| system.stack().log_file(Process::only(service));
        Self {
            system,
            database_log: log(Service::Database),
            broker_log: log(Service::Broker),
        }
    }

    /// The counts since the servers were started.
    pub(super) async fn read(&self) -> Result<Counts> {
        let mut database = self
            .system
            .stack()
            .database(Service::Orders)
            .reader()
            .await?;
        Ok(Counts {
            statements: statements(&fs::read_to_string(&self.database_log)?),
            requests: requests(&fs::read_to_string(&self.broker_log)?),
            wal: database.number(WAL).await? as f64,
            read: Instant::now(),
            seconds: 0.0,
        })
    }
}

/// A line `SERVICE LOG:  statement: TEXT` or `SERVICE LOG:  execute NAME: TEXT`; further lines of the text begin with a tab.
fn statements(log: &str) -> BTreeMap<(&'static str, String), f64> {
    let mut counts = BTreeMap::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((service, begin)) = statement(line) else {
            continue;
        };
        let mut text = begin.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            text += more;
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text != CHECK_OF_A_SESSION {
            *counts.entry((service, text)).or_default() += 1.0;
        }
    }
    counts
}

fn statement(line: &str) -> Option<(&'static str, &str)> {
    let (name, rest) = line.split_once(" LOG:  ")?;
    let service = Service::PAIR
        .map(Service::name)
        .into_iter()
        .find(|it| *it == name)?;
    if let Some(text) = rest.strip_prefix("statement: ") {
        return Some((service, text));
    }
    let (_, text) = rest.strip_prefix("execute ")?.split_once(": ")?;
    Some((service, text))
}

fn requests(log: &str) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for line in log
        .lines()
        .filter(|line| line.contains("Completed request:"))
    {
        if let Some(name) = request(line) {
            *counts.entry(name).or_default() += 1.0;
        }
    }
    counts
}

/// The name of a request of the pair, such as `PRODUCE`.
fn request(line: &str) -> Option<String> {
    let json = &line[line.find('{')?..];
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    let request = values.next()?.ok()?;
    let header = &request["requestHeader"];
    let client = header["clientId"].as_str()?;
    let is_of_pair = Service::PAIR
        .iter()
        .any(|service| client.starts_with(service.name()));
    is_of_pair.then(|| header["requestApiKeyName"].as_str().map(str::to_owned))?
}

impl Counts {
    /// The difference to an earlier reading.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        subtract(&mut self.statements, &earlier.statements, 1.0);
        subtract(&mut self.requests, &earlier.requests, 1.0);
        self.wal -= earlier.wal;
        self.seconds = (self.read - earlier.read).as_secs_f64();
        self
    }

    /// Less what happens without orders in the same time.
    pub(super) fn without(mut self, idle: &Self) -> Self {
        let times = self.seconds / idle.seconds;
        subtract(&mut self.statements, &idle.statements, times);
        subtract(&mut self.requests, &idle.requests, times);
        self.wal = (self.wal - idle.wal * times).max(0.0);
        self
    }

    pub(super) fn per_order(mut self, orders: usize) -> Self {
        let counts = self.statements.values_mut();
        for count in counts.chain(self.requests.values_mut()) {
            *count /= orders as f64;
        }
        self.wal /= orders as f64;
        self
    }

    /// Of both services.
    pub(super) fn statements(&self) -> f64 {
        self.statements.values().sum()
    }

    /// A count by the name of its bound.
    pub(super) fn of(&self, what: &str) -> f64 {
        let request = |name| self.requests.get(name).copied().unwrap_or_default();
        match what.split_once(" of ") {
            Some(("statements", service)) => self.statements_of(service, |_| true),
            Some(("transactions", service)) => self.statements_of(service, |text| text == "COMMIT"),
            Some(("bytes", "WAL")) => self.wal,
            _ if what == "Produce requests" => request("PRODUCE"),
            _ => request("FETCH"),
        }
    }

    fn statements_of(&self, of: &str, is_counted: impl Fn(&str) -> bool) -> f64 {
        let statements = self.statements.iter();
        let counted = statements.filter(|((service, text), _)| *service == of && is_counted(text));
        counted.map(|(_, count)| count).sum()
    }
}

fn subtract<K: Ord>(counts: &mut BTreeMap<K, f64>, others: &BTreeMap<K, f64>, times: f64) {
    for (key, count) in counts {
        let other = others.get(key).copied().unwrap_or_default();
        *count = (*count - other * times).max(0.0);
    }
}

/// A line per statement and per request that occurred.
impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((service, text), count) in &self.statements {
            if *count > 0.005 {
                let shown: String = text.chars().take(SHOWN).collect();
                writeln!(formatter, "{count:>9.2}  {service:<18}  {shown}")?;
            }
        }
        for (name, count) in &self.requests {
            writeln!(formatter, "{count:>9.2}  {name}")?;
        }
        writeln!(formatter, "{:>9.0}  bytes of WAL", self.wal)
    }
}

#[test]
fn statements_of_the_pair_are_counted_by_their_whole_text() {
    let log = "order-service LOG:  statement: COMMIT\n\
               order-service LOG:  execute sqlx_s_1: SELECT a\n\t  FROM b\n\
               [unknown] LOG:  execute sqlx_s_1: SELECT 1\n\
               processing-service LOG:  statement: COMMIT\n\
               order-service LOG:  execute sqlx_s_9: SELECT a FROM b\n \
               LOG:  checkpoint starting: time\n";

    let counts = statements(log);

    let key = |service, text: &str| (service, text.to_owned());
    let expected = BTreeMap::from([
        (key("order-service", "COMMIT"), 1.0),
        (key("order-service", "SELECT a FROM b"), 2.0),
        (key("processing-service", "COMMIT"), 1.0),
    ]);
    assert_eq!(counts, expected);
}

#[test]
fn requests_of_other_clients_are_not_counted() {
    let line = |client: &str| {
        format!(
            "2026-11-29 10:00:00,000 DEBUG Completed request:{{\"isForwarded\":false,\"requestHeader\":\
             {{\"requestApiKey\":0,\"clientId\":\"{client}\",\"requestApiKeyName\":\"PRODUCE\"}}}},\"x\" (logger)"
        )
    };
    let log = [
        line("order-service.host"),
        line("rdkafka"),
        "other".to_owned(),
    ]
    .join("\n");

    assert_eq!(
        requests(&log),
        BTreeMap::from([("PRODUCE".to_owned(), 1.0)])
    );
}
