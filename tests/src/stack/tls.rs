//! TLS certificates made with `openssl`: a certificate authority of the stack, and the broker certificate that it
//! signs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::StackError;
use super::tool::run;

/// Validity: long enough for a data directory that is used again later.
const DAYS: &str = "365";

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("tls")
}

/// The CA certificate of this directory.
pub(super) fn authority(data_dir: &Path) -> PathBuf {
    folder(data_dir).join("ca.pem")
}

/// Key and certificate of the broker in one file, as Kafka reads them.
pub(super) fn broker_certificate(data_dir: &Path) -> PathBuf {
    folder(data_dir).join("broker.pem")
}

/// Creates a CA in this directory and returns its certificate.
///
/// # Errors
/// When `openssl` cannot be run or fails.
pub async fn make_authority(data_dir: &Path) -> Result<PathBuf, StackError> {
    fs::create_dir_all(folder(data_dir)).map_err(|source| StackError::DataDirectory {
        path: folder(data_dir),
        source,
    })?;
    openssl(
        data_dir,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-noenc",
            "-days",
            DAYS,
            "-subj",
            "/CN=authority of the tests",
            "-keyout",
            "ca-key.pem",
            "-out",
            "ca.pem",
        ],
    )
    .await?;
    Ok(authority(data_dir))
}

/// Creates a CA and a broker certificate, unless they exist.
pub(super) async fn make_broker_certificate(data_dir: &Path) -> Result<(), StackError> {
    if broker_certificate(data_dir).is_file() {
        return Ok(());
    }
    make_authority(data_dir).await?;
    openssl(
        data_dir,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-noenc",
            "-days",
            DAYS,
            "-subj",
            "/CN=broker",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-keyout",
            "broker-key.pem",
            "-out",
            "broker-certificate.pem",
        ],
    )
    .await?;
    join(data_dir).map_err(|source| StackError::DataDirectory {
        path: folder(data_dir),
        source,
    })
}

fn join(data_dir: &Path) -> io::Result<()> {
    let folder = folder(data_dir);
    let key = fs::read_to_string(folder.join("broker-key.pem"))?;
    let certificate = fs::read_to_string(folder.join("broker-certificate.pem"))?;
    fs::write(broker_certificate(data_dir), key + &certificate)
}

async fn openssl(data_dir: &Path, arguments: &[&str]) -> Result<(), StackError> {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(folder(data_dir));
    run(command).await
}
