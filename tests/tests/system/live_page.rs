//! The live page in a real browser: every switch is pressed, what the page says is compared with the API and the databases, and
//! the audit at the end finds no violation.
//!
//! Needs chromedriver and axe-core, which `tests/prerequisites.sh` gets; TEST_BROWSER=required makes their absence an error.

mod accessibility;
mod browser;
mod site;

use anyhow::{Result, ensure};
use proto::topics::ORDER_EVENTS;
use serde_json::Value;
use tests::system::{Process, Service, engines};

use browser::{Browser, Window};
use site::Site;

/// A laptop, and a phone.
const DESKTOP: (u32, u32) = (1280, 1000);
const PHONE: (u32, u32) = (375, 800);

/// Enter.
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

#[tokio::test(flavor = "multi_thread")]
async fn every_switch_of_the_page_does_what_it_says_and_the_audit_is_green() -> Result<()> {
    // One replica of each service: the test knows their names.
    if engines()?.replicas != 1 || !accessibility::has_browser()? {
        return Ok(());
    }
    let (site, browser) = (Site::start().await?, Browser::start().await?);
    let tour = Tour {
        site: &site,
        browser: &browser,
    };
    let toured = tour.whole().await;
    browser.quit().await?;
    let told = toured?;
    site.audit(&told).await
}

/// One visit of the page.
struct Tour<'a> {
    site: &'a Site,
    browser: &'a Browser,
}

impl Tour<'_> {
    /// Returns the totals that the page shows at the end.
    async fn whole(&self) -> Result<Value> {
        self.resize(DESKTOP, false).await?;
        self.browser.open(&self.site.url()).await?;
        self.browser
            .until("#connection", |text| text == "Connected")
            .await?;
        self.one_order().await?;
        self.payments().await?;
        self.rate_and_spike().await?;
        self.duplicate_and_poison().await?;
        self.processing_service().await?;
        self.broker().await?;
        self.order_service().await?;
        self.three_ways().await?;
        self.keyboard().await?;
        self.reload().await?;
        self.lost_connection().await?;
        self.looks().await?;
        let told = self.all_final().await?;
        self.restarted_stack().await?;
        Ok(told)
    }

    async fn resize(&self, (width, height): (u32, u32), is_dark: bool) -> Result<()> {
        let window = Window {
            width,
            height,
            is_dark,
        };
        self.browser.resize(window).await
    }

    async fn number(&self, id: &str) -> Result<u64> {
        Ok(self.browser.text(&format!("#{id}")).await?.parse()?)
    }

    async fn until_number(&self, id: &str, is_wanted: impl Fn(f64) -> bool) -> Result<String> {
        let is_wanted = |text: &str| text.parse().is_ok_and(&is_wanted);
        self.browser.until(&format!("#{id}"), is_wanted).await
    }

    async fn place(&self, answer: &str) -> Result<()> {
        self.browser
            .run("document.getElementById('answer').textContent = ''")
            .await?;
        self.browser.click("#place-one").await?;
        self.browser
            .until("#answer", |text| text.contains(answer))
            .await?;
        Ok(())
    }

    /// The page and the API agree about an order, and its trace has both halves.
    async fn one_order(&self) -> Result<()> {
        self.browser
            .click("#payments input[value=approved]")
            .await?;
        self.place("Confirmed after").await?;
        self.browser
            .until("#order-about", |text| text.contains("FULFILLED"))
            .await?;
        let id = self.browser.run("return location.hash.slice(1)").await?;
        let id = id.as_str().unwrap_or_default();
        let entries = self.site.history(id).await?;
        let shown = self
            .browser
            .run("return document.querySelectorAll('#timeline li').length")
            .await?;
        assert_eq!(shown, entries.len());
        let call = format!(
            "{} server orders.v1.OrderService/PlaceOrder",
            short(Service::Orders)
        );
        let event = format!(
            "{} consumer process {ORDER_EVENTS}",
            short(Service::Processing)
        );
        self.browser
            .until("#waterfall", |text| {
                text.contains(&call) && text.contains(&event)
            })
            .await?;
        self.until_number("fulfilled", |count| count >= 1.0).await?;
        Ok(())
    }

    /// Each kind of payment has the outcome that it promises.
    async fn payments(&self) -> Result<()> {
        for (kind, outcome) in [
            ("slow", "FULFILLED"),
            ("hanging", "FULFILLED"),
            ("failing", "PAYMENT_UNAVAILABLE"),
            ("declined", "PAYMENT_DECLINED"),
            ("approved", "FULFILLED"),
        ] {
            self.browser
                .click(&format!("#payments input[value={kind}]"))
                .await?;
            self.until_state(|state| state["load"]["payments"] == kind)
                .await?;
            self.place("Confirmed after").await?;
            self.browser
                .until("#timeline", |text| text.contains(outcome))
                .await?;
        }
        self.browser.click("#payments input[value=mixed]").await?;
        self.until_state(|state| state["load"]["payments"] == "mixed")
            .await
    }

    async fn until_state(&self, is_wanted: impl Fn(&Value) -> bool) -> Result<()> {
        tests::system::eventually("the state", async || {
            let state = self.site.state().await?;
            Ok(is_wanted(&state).then_some(()))
        })
        .await
    }

    async fn rate_and_spike(&self) -> Result<()> {
        let before = self.number("accepted").await? as f64;
        self.browser.click("#rates input[value='10']").await?;
        self.until_number("accepted", |count| count >= before + 20.0)
            .await?;
        self.until_number("accepted_rate", |rate| rate > 2.0)
            .await?;
        self.until_number("finished_rate", |rate| rate > 2.0)
            .await?;
        self.browser.click("#rates input[value='0']").await?;
        self.until_state(|state| state["load"]["rate"] == 0).await?;
        let before = self.number("placed").await? as f64;
        self.browser.click("#spike").await?;
        self.until_number("placed", |count| count >= before + 200.0)
            .await?;
        self.until_open(|open| open == 0).await
    }

    /// Waits for a number of accepted orders that are not final.
    async fn until_open(&self, is_wanted: impl Fn(u64) -> bool) -> Result<()> {
        self.until_state(|state| {
            let total = |name: &str| state["totals"][name].as_u64().unwrap_or(0);
            let calls = total("placed") - total("accepted") - total("refused") - total("failed");
            let ended =
                total("fulfilled") + total("rejected") + total("cancelled") + total("unwatched");
            calls == 0 && is_wanted(total("accepted") - ended)
        })
        .await
    }

    async fn duplicate_and_poison(&self) -> Result<()> {
        self.browser.click("#duplicate").await?;
        self.browser
            .until("#story", |text| text.contains("no second effect"))
            .await?;
        self.browser.click("#poison").await?;
        self.one_dead_letter().await
    }

    async fn one_dead_letter(&self) -> Result<()> {
        self.until_number("dead_letters", |count| count == 1.0)
            .await?;
        Ok(())
    }

    /// Presses a switch of a process and waits for what its row says then.
    async fn switch(&self, service: Service, action: &str, says: &str) -> Result<()> {
        let process = Process::only(service).to_string();
        self.browser
            .click(&format!("#processes [aria-label='{action} {process}']"))
            .await?;
        self.until_row(service, |text| text.contains(says)).await
    }

    async fn until_row(&self, service: Service, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
        let place = self.site.place_of(service);
        let row = format!("#processes li:nth-child({place}) .state");
        self.browser
            .until(&row, |text| {
                !text.contains("in progress") && is_wanted(text)
            })
            .await?;
        Ok(())
    }

    async fn is_ready(&self, service: Service) -> Result<()> {
        self.until_row(service, |text| text.starts_with("running, ready"))
            .await
    }

    async fn processing_service(&self) -> Result<()> {
        let service = Service::Processing;
        self.switch(service, "Stop", "down").await?;
        self.browser
            .until("#moment-text", |text| {
                text.contains("processing-service is away")
            })
            .await?;
        self.place("stock UNVERIFIED").await?;
        self.until_number("orders_lag", |lag| lag >= 1.0).await?;
        self.switch(service, "Start", "running").await?;
        self.is_ready(service).await?;
        self.until_open(|open| open == 0).await?;
        self.until_number("orders_lag", |lag| lag == 0.0).await?;
        self.switch(service, "Freeze", "frozen").await?;
        self.place("stock UNVERIFIED").await?;
        self.switch(service, "Resume", "running").await?;
        self.is_ready(service).await?;
        self.switch(service, "Kill", "restarts: 1").await?;
        self.is_ready(service).await
    }

    async fn broker(&self) -> Result<()> {
        let service = Service::Broker;
        self.switch(service, "Freeze", "frozen").await?;
        self.browser
            .until("#moment-text", |text| text.contains("The broker is away"))
            .await?;
        self.place("Confirmed after").await?;
        self.until_number("orders_outbox", |rows| rows >= 1.0)
            .await?;
        self.switch(service, "Resume", "running").await?;
        self.until_open(|open| open == 0).await?;
        self.switch(service, "Kill", "restarts: 1").await?;
        self.place("Confirmed after").await?;
        self.until_open(|open| open == 0).await?;
        self.switch(service, "Stop", "down").await?;
        self.place("Confirmed after").await?;
        self.switch(service, "Start", "running").await?;
        self.until_open(|open| open == 0).await
    }

    async fn order_service(&self) -> Result<()> {
        let service = Service::Orders;
        self.switch(service, "Freeze", "frozen").await?;
        self.place("The order was not placed").await?;
        self.switch(service, "Resume", "running").await?;
        self.is_ready(service).await?;
        self.switch(service, "Kill", "restarts: 1").await?;
        self.is_ready(service).await?;
        self.switch(service, "Stop", "down").await?;
        self.browser
            .until("#moment-text", |text| {
                text.contains("no order can be placed")
            })
            .await?;
        self.place("The order was not placed").await?;
        self.switch(service, "Start", "running").await?;
        self.is_ready(service).await?;
        self.place("Confirmed after").await?;
        // Both services and the broker were restarted since.
        self.one_dead_letter().await
    }

    /// With approved payments, every order of every way is answered and done.
    async fn three_ways(&self) -> Result<()> {
        self.browser
            .click("#payments input[value=approved]")
            .await?;
        self.until_state(|state| state["load"]["payments"] == "approved")
            .await?;
        self.browser.click("#compare").await?;
        for line in 1..=3 {
            for (column, wanted) in [(3, "0 of 20"), (5, "20 of 20")] {
                let cell = format!("#ways tr:nth-child({line}) td:nth-child({column})");
                self.browser.until(&cell, |text| text == wanted).await?;
            }
        }
        self.browser.click("#payments input[value=mixed]").await
    }

    /// The first stop of the tab key is the first switch, and Enter presses it.
    async fn keyboard(&self) -> Result<()> {
        let before = self.number("accepted").await? as f64;
        self.browser
            .run("document.getElementById('moment-chapter').focus()")
            .await?;
        self.browser.press(TAB).await?;
        let focused = self.browser.run("return document.activeElement.id").await?;
        assert_eq!(focused, "place-one");
        self.browser.press(ENTER).await?;
        self.until_number("accepted", |count| count >= before + 1.0)
            .await?;
        Ok(())
    }

    async fn reload(&self) -> Result<()> {
        let before = self.browser.text("#accepted").await?;
        self.browser.reload().await?;
        self.browser
            .until("#accepted", |text| text == before)
            .await?;
        self.browser
            .until("#story", |text| !text.is_empty())
            .await?;
        self.browser
            .until("#order-about", |text| text.starts_with("Order "))
            .await?;
        Ok(())
    }

    async fn lost_connection(&self) -> Result<()> {
        self.site.close_page().await?;
        self.browser
            .until("#connection", |text| text.starts_with("Connection lost"))
            .await?;
        self.site.open_page().await?;
        self.browser
            .until("#connection", |text| text == "Connected")
            .await?;
        Ok(())
    }

    /// The open page goes on with the stack of another start, on the same data: its counts begin anew, its order is there.
    async fn restarted_stack(&self) -> Result<()> {
        self.site.close_page().await?;
        self.browser
            .until("#connection", |text| text.starts_with("Connection lost"))
            .await?;
        self.site.restart_stack().await?;
        self.site.open_page().await?;
        self.browser
            .until("#connection", |text| text == "Connected")
            .await?;
        self.until_number("accepted", |count| count == 0.0).await?;
        self.browser.reload().await?;
        self.browser
            .until("#order-about", |text| text.starts_with("Order "))
            .await?;
        self.place("Confirmed after").await?;
        self.until_number("accepted", |count| count == 1.0).await?;
        self.until_open(|open| open == 0).await
    }

    /// Accessible and without overflow on both widths, light and dark; with UPDATE_IMAGES=1, the pictures of the README.
    async fn looks(&self) -> Result<()> {
        self.browser.click("#rates input[value='10']").await?;
        self.until_number("accepted", |count| count >= 60.0).await?;
        self.place("Confirmed after").await?;
        self.browser
            .until("#order-about", |text| {
                text.contains("FULFILLED") || text.contains("REJECTED")
            })
            .await?;
        for (name, size) in [("desktop", DESKTOP), ("phone", PHONE)] {
            for is_dark in [true, false] {
                self.resize(size, is_dark).await?;
                accessibility::check(self.browser).await?;
                let width = self
                    .browser
                    .run("return document.documentElement.scrollWidth")
                    .await?;
                ensure!(
                    width == size.0,
                    "the page is {width} wide on {} pixels",
                    size.0
                );
                self.site.picture(self.browser, name, is_dark).await?;
            }
        }
        self.resize(DESKTOP, false).await?;
        self.browser.click("#rates input[value='0']").await?;
        self.until_state(|state| state["load"]["rate"] == 0).await
    }

    async fn all_final(&self) -> Result<Value> {
        self.until_open(|open| open == 0).await?;
        let state = self.site.state().await?;
        let totals = &state["totals"];
        for name in ["accepted", "fulfilled", "rejected"] {
            let count = totals[name].to_string();
            self.browser
                .until(&format!("#{name}"), |text| text == count)
                .await?;
        }
        Ok(totals.clone())
    }
}

/// The name of a service in the waterfall.
fn short(service: Service) -> &'static str {
    let name = service.name();
    name.strip_suffix("-service").unwrap_or(name)
}
