//! A headless Chromium, driven by the protocol that chromedriver speaks (W3C WebDriver): JSON over HTTP, so no further crate.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::system::{WAIT_LIMIT, eventually};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The key of an element reference in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One command; a script of the accessibility check takes seconds.
const ANSWER: Duration = Duration::from_secs(60);

/// A window, as the page sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_dark: bool,
}

#[derive(Debug)]
pub(super) struct Browser {
    client: reqwest::Client,
    session: String,
    _driver: Child,
}

impl Browser {
    pub(super) async fn start() -> Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver (Debian: apt-get install chromium chromium-driver)")?;
        let port = timeout(WAIT_LIMIT, port_of(&mut driver)).await??;
        let client = reqwest::Client::builder().timeout(ANSWER).build()?;
        let options = json!({ "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        ] });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let root = format!("http://127.0.0.1:{port}/session");
        let made = call(client.post(&root).body(wanted.to_string())).await?;
        let id = made["sessionId"].as_str().context("a session id")?;
        Ok(Self {
            session: format!("{root}/{id}"),
            client,
            _driver: driver,
        })
    }

    /// Ends Chromium too, which would outlive its driver.
    pub(super) async fn quit(self) -> Result<()> {
        call(self.client.delete(&self.session)).await.map(drop)
    }

    async fn command(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/{path}", self.session);
        call(self.client.post(url).body(body.to_string()))
            .await
            .with_context(|| format!("{path} {body:.300}"))
    }

    pub(super) async fn open(&self, url: &str) -> Result<()> {
        self.command("url", &json!({ "url": url })).await.map(drop)
    }

    pub(super) async fn reload(&self) -> Result<()> {
        self.command("refresh", &json!({})).await.map(drop)
    }

    /// The value of a script, which begins with `return`.
    pub(super) async fn run(&self, script: &str) -> Result<Value> {
        let body = json!({ "script": script, "args": [] });
        self.command("execute/sync", &body).await
    }

    async fn element(&self, selector: &str) -> Result<String> {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.command("element", &body).await?;
        Ok(found[ELEMENT].as_str().context("an element")?.to_owned())
    }

    /// Clicks as a user does: an element that is hidden or covered is an error.
    pub(super) async fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector).await?;
        let path = format!("element/{element}/click");
        self.command(&path, &json!({})).await.map(drop)
    }

    /// Presses a key where the focus is.
    pub(super) async fn press(&self, key: &str) -> Result<()> {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.command("actions", &body).await.map(drop)
    }

    /// The text of the first element of a selector.
    pub(super) async fn text(&self, selector: &str) -> Result<String> {
        let script = format!("return document.querySelector({selector:?})?.textContent ?? ''");
        Ok(self
            .run(&script)
            .await?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Waits until the text of an element is as wanted, and returns it.
    pub(super) async fn until(
        &self,
        selector: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let waited = eventually(selector, async || {
            let text = self.text(selector).await?;
            Ok(is_wanted(&text).then_some(text))
        })
        .await;
        match waited {
            Ok(text) => Ok(text),
            Err(error) => {
                let text = self.text(selector).await?;
                Err(error).with_context(|| format!("{selector} says {text:?}"))
            }
        }
    }

    pub(super) async fn resize(&self, window: Window) -> Result<()> {
        let Window {
            width,
            height,
            is_dark,
        } = window;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", &metrics)
            .await?;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.chromium(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        )
        .await?;
        Ok(())
    }

    /// The window as a PNG, encoded in base64.
    pub(super) async fn picture(&self, path: &Path) -> Result<()> {
        let shot = self
            .chromium("Page.captureScreenshot", &json!({ "format": "png" }))
            .await?;
        let text = shot["data"].as_str().context("a picture")?;
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)?;
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A command of Chromium itself.
    async fn chromium(&self, name: &str, parameters: &Value) -> Result<Value> {
        let body = json!({ "cmd": name, "params": parameters });
        self.command("goog/cdp/execute", &body).await
    }
}

async fn port_of(driver: &mut Child) -> Result<u16> {
    const SAID: &str = "started successfully on port ";
    let output = driver.stdout.take().context("a pipe")?;
    let mut lines = BufReader::new(output).lines();
    loop {
        let line = lines.next_line().await?.context("chromedriver ended")?;
        if let Some((_, port)) = line.split_once(SAID) {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
}

async fn call(request: reqwest::RequestBuilder) -> Result<Value> {
    let answer = request.send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    let mut body: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let value = body["value"].take();
    ensure!(
        status.is_success(),
        "{}: {}",
        value["error"],
        value["message"]
    );
    Ok(value)
}
