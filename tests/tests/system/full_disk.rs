//! The disk of a database is full: calls are refused with the proper status, nothing that was confirmed is lost, and
//! the service recovers automatically when there is space again.
//!
//! The disk is a small tmpfs, which only a privileged user may mount; without the privilege the test prints that it was
//! skipped. On the embedded engines only: PostgreSQL handles its own disk, and its errors of this class are covered by
//! the services' unit tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::OrderStatus;
use tests::system::{Draft, Service, System, engines, eventually};
use tonic::Code;

/// Enough for opening the database and for a few hundred orders.
const SIZE: &str = "size=4m";

#[tokio::test(flavor = "multi_thread")]
async fn order_service_refuses_orders_while_its_disk_is_full_and_recovers() -> Result<()> {
    let Some(disk) = Disk::mount()? else {
        return Ok(());
    };
    let system = start_on(&disk, Service::Orders).await?;
    let before = system.place_order(&Draft::of("MUG", 1)).await?;

    disk.fill()?;
    let refused = eventually("an order is refused", async || {
        Ok(system.place_order(&Draft::of("MUG", 1)).await.err())
    })
    .await?;
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert_eq!(
        system.order(&before.order_id).await?.order_id,
        before.order_id
    );
    disk.make_room()?;

    let after = system.place_order_retrying(&Draft::of("MUG", 1)).await?;
    goes_on(system, disk, &[&before.order_id, &after.order_id]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_while_the_disk_of_processing_is_full_and_are_fulfilled_afterwards()
-> Result<()> {
    let Some(disk) = Disk::mount()? else {
        return Ok(());
    };
    let system = start_on(&disk, Service::Processing).await?;

    disk.fill()?;
    let mut orders = Vec::new();
    for _ in 0..50 {
        orders.push(system.place_order(&Draft::of("MUG", 1)).await?.order_id);
    }
    let process = system.stack().processes(Service::Processing)[0];
    system.logs(process, "disk is full").await?;
    disk.make_room()?;

    let orders: Vec<&str> = orders.iter().map(String::as_str).collect();
    goes_on(system, disk, &orders).await
}

async fn start_on(disk: &Disk, service: Service) -> Result<System> {
    let url = format!("sqlite://{}", disk.database(service).display());
    let system = System::start_with(&[(service, "DATABASE_URL", &url)]).await?;
    // The path at which the service expects the file.
    let expected = system.data_dir().join(format!("{service}.db"));
    std::os::unix::fs::symlink(disk.database(service), expected)?;
    Ok(system)
}

async fn goes_on(system: System, disk: Disk, orders: &[&str]) -> Result<()> {
    for order_id in orders {
        system.watch_until_final(order_id).await?;
        assert_eq!(
            system.order(order_id).await?.status(),
            OrderStatus::Fulfilled
        );
    }
    assert_eq!(system.stack().restarts(), 0);
    system.finish().await?;
    drop(disk);
    Ok(())
}

/// A small file system.
struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    /// `None`, and a printed line, where it cannot be mounted.
    fn mount() -> Result<Option<Self>> {
        if engines()?.replicas > 1 {
            println!("skipped: only on the embedded engines");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(directory.path())
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Ok(Some(Self { directory }));
        }
        println!("skipped: a file system cannot be mounted here");
        Ok(None)
    }

    fn database(&self, service: Service) -> PathBuf {
        self.directory.path().join(format!("{service}.db"))
    }

    fn ballast(&self) -> PathBuf {
        self.directory.path().join("ballast")
    }

    /// Fills the remaining space.
    fn fill(&self) -> Result<()> {
        let endless = fs::File::open("/dev/zero")?;
        let mut ballast = fs::File::create(self.ballast())?;
        let full = std::io::copy(&mut &endless, &mut ballast);
        let error = full.err().context("the disk never fills up")?;
        ensure!(error.kind() == std::io::ErrorKind::StorageFull, "{error}");
        Ok(())
    }

    fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.directory.path());
    }
}

/// Lazy unmount: open files stay usable until they are closed.
fn unmount(directory: &Path) {
    let unmounted = Command::new("umount").arg("-l").arg(directory).status();
    if !unmounted.is_ok_and(|status| status.success()) {
        eprintln!("{} stays mounted", directory.display());
    }
}
