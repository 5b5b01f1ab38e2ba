//! axe-core on the page: the rules of WCAG 2.2, levels A and AA.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use tests::stack::programs_directory;

use super::browser::Browser;

/// Whether the browser test can run. With TEST_BROWSER=required, a missing part is an error.
pub(super) fn has_browser() -> Result<bool> {
    let has_driver = env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path).any(|folder| folder.join("chromedriver").is_file())
    });
    if has_driver && axe().is_file() {
        return Ok(true);
    }
    if env::var("TEST_BROWSER").as_deref() == Ok("required") {
        bail!("chromedriver or {} is missing", axe().display());
    }
    eprintln!("left out: the live page in a browser (run tests/prerequisites.sh)");
    Ok(false)
}

/// Where `tests/browser/prepare.sh` puts it: beside the profiles of the build.
fn axe() -> PathBuf {
    let target = programs_directory().join("../browser/axe.min.js");
    target.canonicalize().unwrap_or(target)
}

/// Fails with every violation that axe finds on the page as it is.
pub(super) async fn check(browser: &Browser) -> Result<()> {
    let axe = std::fs::read_to_string(axe())?;
    browser.run(&axe).await?;
    let script = "return axe.run().then(found => found.violations.map(violation => \
        violation.id + ': ' + violation.help + ': ' + violation.nodes.map(node => node.target.join(' ')).join(', ')))";
    let found = browser.run(script).await?;
    let found: Vec<String> = serde_json::from_value(found).context("the violations")?;
    ensure!(found.is_empty(), "{found:#?}");
    Ok(())
}
