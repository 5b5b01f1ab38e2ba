//! Apache Kafka on one node: location of the jars, settings, storage, command line.
//!
//! `make apache-kafka` has Maven put the jars below the target directory; nothing is fetched here. The broker is started
//! as `java … kafka.Kafka server.properties`, without the distribution's shell scripts.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::tool::run;
use super::{StackAddresses, StackConfig, StackError, programs_directory, tls};

/// A fixed cluster id: a node refuses storage of another cluster, and there is only one.
const CLUSTER_ID: &str = "b3JkZXJzLXRlc3RzLTAwMA";

/// The account of the SCRAM listener.
pub(super) const USER: &str = "service";
/// No secret: the broker listens on loopback and holds nothing but test data.
pub(super) const PASSWORD: &str = "service-password";

/// At most half a gigabyte resident. Only the first compiler tier and the simplest garbage collector: a broker of a
/// test lives for seconds, and most of that is the start.
const JVM_OPTIONS: [&str; 3] = ["-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

const LOG4J: &str = "\
rootLogger.level = INFO
rootLogger.appenderRef.stdout.ref = STDOUT
appender.stdout.type = Console
appender.stdout.name = STDOUT
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
";

/// Logs every completed request as JSON.
const REQUEST_LOG: &str = "\
logger.request.name = kafka.request.logger
logger.request.level = DEBUG
";

/// Settings that do not depend on the stack.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT

# One node holds every replica there is.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Topics have owners and settings: a typing error must not create one.
auto.create.topics.enable=false

# One partition each: fewer files to open at every start.
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1

# The first member of a group does not wait for others.
group.initial.rebalance.delay.ms=0

# A broker that was killed is taken back soon after its restart.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# Little memory.
log.cleaner.dedupe.buffer.size=4194304
num.io.threads=4
num.network.threads=2
";

/// Settings of the listener with TLS and SCRAM.
const SECURED_SETTINGS: &str = "\
listener.name.secured.ssl.keystore.type=PEM
listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secured.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
";

/// Apache Kafka and the files of one broker.
#[derive(Debug)]
pub(super) struct ApacheKafka {
    home: PathBuf,
    directory: PathBuf,
}

impl ApacheKafka {
    /// Finds the jars, writes the settings and formats the storage if it is new.
    pub(super) async fn prepare(
        config: &StackConfig,
        data_dir: &Path,
        addresses: &StackAddresses,
    ) -> Result<Self, StackError> {
        let kafka = Self {
            home: home()?,
            directory: data_dir.join("kafka"),
        };
        let unusable = |source| StackError::DataDirectory {
            path: kafka.directory.clone(),
            source,
        };
        fs::create_dir_all(&kafka.directory).map_err(unusable)?;
        if addresses.kafka_secured.is_some() {
            tls::make_broker_certificate(data_dir).await?;
        }
        kafka
            .write_settings(config, data_dir, addresses)
            .map_err(unusable)?;
        if !kafka.storage().join("meta.properties").is_file() {
            kafka.format().await?;
        }
        Ok(kafka)
    }

    pub(super) fn program(&self) -> PathBuf {
        match env::var_os("JAVA_HOME") {
            Some(home) => Path::new(&home).join("bin/java"),
            None => PathBuf::from("java"),
        }
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        self.java("kafka.Kafka", &[&self.settings().to_string_lossy()])
    }

    fn java(&self, class: &str, arguments: &[&str]) -> Vec<String> {
        let logging = self.directory.join("log4j2.properties");
        let logging = format!("-Dlog4j2.configurationFile={}", logging.display());
        let archive = format!(
            "-XX:SharedArchiveFile={}",
            self.home.join("classes.jsa").display()
        );
        // The class-data archive stores the class path as text: it must be identical here and where the archive was
        // made.
        let class_path = self.home.join("lib/*").display().to_string();
        let options = JVM_OPTIONS.map(ToOwned::to_owned).into_iter();
        let rest = [
            archive,
            logging,
            "-cp".to_owned(),
            class_path,
            class.to_owned(),
        ];
        let arguments = arguments.iter().map(ToString::to_string);
        options.chain(rest).chain(arguments).collect()
    }

    fn settings(&self) -> PathBuf {
        self.directory.join("server.properties")
    }

    fn storage(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn write_settings(
        &self,
        config: &StackConfig,
        data_dir: &Path,
        addresses: &StackAddresses,
    ) -> io::Result<()> {
        let text = format!(
            "{SETTINGS}\nlog.dirs={}\n{}",
            self.storage().display(),
            listeners(data_dir, addresses)
        );
        fs::write(self.settings(), text)?;
        let requests = if config.broker_logs_requests {
            REQUEST_LOG
        } else {
            ""
        };
        let logging = format!("{LOG4J}{requests}");
        fs::write(self.directory.join("log4j2.properties"), logging)
    }

    /// A formatted storage is the same for every broker here, and formatting starts a JVM of its own: the first one is
    /// kept beside the jars and copied.
    async fn format(&self) -> Result<(), StackError> {
        let kept = self.home.join("storage");
        let unusable = |source| StackError::DataDirectory {
            path: self.storage(),
            source,
        };
        if kept.is_dir() {
            return copy_files(&kept, &self.storage()).map_err(unusable);
        }
        self.run_format().await?;
        keep(&self.storage(), &kept).map_err(unusable)
    }

    async fn run_format(&self) -> Result<(), StackError> {
        let settings = self.settings();
        let user = format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]");
        let arguments = [
            "format",
            "--cluster-id",
            CLUSTER_ID,
            "--config",
            &settings.to_string_lossy(),
            "--add-scram",
            &user,
        ];
        let mut command = Command::new(self.program());
        command.args(self.java("kafka.tools.StorageTool", &arguments));
        run(command).await
    }
}

/// Safe for concurrent processes and threads: the copy is renamed into place when it is complete, and the first one
/// wins.
fn keep(storage: &Path, kept: &Path) -> io::Result<()> {
    let copy = tempfile::tempdir_in(kept.parent().unwrap_or(kept))?;
    copy_files(storage, &copy.path().join("storage"))?;
    match fs::rename(copy.path().join("storage"), kept) {
        Err(_) if kept.is_dir() => Ok(()),
        renamed => renamed,
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Whether `make apache-kafka` was run.
pub fn has_apache_kafka() -> bool {
    home().is_ok()
}

/// Where `make apache-kafka` puts the jars: below the target directory of the programs.
fn home() -> Result<PathBuf, StackError> {
    let programs = programs_directory();
    let home = programs.parent().unwrap_or(&programs).join("apache-kafka");
    // Written last.
    if home.join("ready").is_file() {
        return Ok(home);
    }
    Err(StackError::NoApacheKafka { home })
}

fn listeners(data_dir: &Path, addresses: &StackAddresses) -> String {
    let mut listeners = format!("PLAINTEXT://{}", addresses.kafka);
    let mut advertised = listeners.clone();
    let mut settings = String::new();
    if let Some(address) = addresses.kafka_secured {
        let secured = format!(",SECURED://{address}");
        listeners += &secured;
        advertised += &secured;
        let keystore = tls::broker_certificate(data_dir);
        settings = format!(
            "{SECURED_SETTINGS}listener.name.secured.ssl.keystore.location={}\n",
            keystore.display()
        );
    }
    if let Some(path) = addresses.proxied.as_ref().and_then(|all| all.kafka) {
        listeners += &format!(",PROXIED://{}", path.server);
        advertised += &format!(",PROXIED://{}", path.proxy);
    }
    let controller = addresses
        .kafka_controller
        .map_or_else(String::new, |address| address.to_string());
    format!(
        "listeners={listeners},CONTROLLER://{controller}\n\
         advertised.listeners={advertised}\n\
         controller.quorum.voters=1@{controller}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,SECURED:SASL_SSL\n\
         {settings}"
    )
}
