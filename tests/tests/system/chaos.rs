//! A short `make chaos` run: a few faults, and their report.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use serde_json::Value;
use tests::chaos::{self, ChaosArguments};
use tests::system::engines;

/// On the embedded engines its plan cuts the broker off, then delays its connections and kills a processing-service
/// during that.
const SEED: &str = "9";

#[tokio::test(flavor = "multi_thread")]
async fn a_short_chaos_run_ends_with_a_green_audit() -> Result<()> {
    let home = tempfile::Builder::new()
        // A PostgreSQL server in it may run as another user than this process.
        .permissions(Permissions::from_mode(0o711))
        .tempdir()?;
    let (data, json) = (home.path().join("data"), home.path().join("report.json"));
    let engines = match engines()?.replicas {
        1 => "embedded",
        _ => "production",
    };
    let (data, json) = (
        data.to_str().context("a path")?,
        json.to_str().context("a path")?,
    );
    let arguments = ["chaos", "--seconds", "20", "--rate", "20", "--seed", SEED];
    let places = ["--engines", engines, "--data-dir", data, "--json", json];

    let run = chaos::run(ChaosArguments::try_parse_from(
        [&arguments[..], &places[..]].concat(),
    )?);
    run.await?;

    let report: Value = serde_json::from_str(&fs::read_to_string(json)?)?;
    assert_eq!(report["audit"]["ok"], true, "{report:#}");
    assert_eq!(report["passed"], true, "{report:#}");
    assert_eq!(report["final"], report["accepted"], "{report:#}");
    assert!(report["accepted"].as_u64() > Some(0), "{report:#}");
    let recovered = report["recovery_seconds"].as_object();
    let recovered = recovered.context("an object")?;
    assert!(!recovered.is_empty(), "{report:#}");
    Ok(())
}
