//! All exported telemetry: named as in the registry, and without a secret.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::PlaceOrderRequest;
use serde_json::Value as Json;
use tests::otlp::metric::{InstrumentKind, Metric};
use tests::otlp::span::Span;
use tests::otlp::{AttributeValue, Attributes, Receiver, Signal};
use tests::system::{Draft, Service, System, WAIT_LIMIT, eventually};
use tonic::{Code, Request};

use crate::secrets::{ISSUER, Issuer};
use crate::telemetry::exporting_to;

/// A marker in every secret and in the customer id.
const PLANTED: &str = "planted_5f1c6e0a";

const CUSTOMER: &str = "customer_planted_5f1c6e0a";

#[tokio::test(flavor = "multi_thread")]
async fn exports_and_logs_contain_no_secret_and_no_customer_id() -> Result<()> {
    let receiver = Receiver::start_keeping_bodies().await?;
    let (url, directory) = (receiver.url(), tempfile::tempdir()?);
    let issuer = Issuer::new(directory.path())?;
    let jwks = issuer.jwks.display().to_string();
    let mut settings = exporting_to(&url, &[("LOG_FILTER", "debug")]);
    settings.extend([
        (Service::Orders, "AUTH_JWKS", &*jwks),
        (Service::Orders, "AUTH_AUDIENCE", "orders"),
        (Service::Orders, "AUTH_ISSUER", ISSUER),
    ]);
    let system = System::start_with(&settings).await?;
    let good = issuer.token(CUSTOMER)?;
    let foreign = Issuer::new(tempfile::tempdir()?.path())?.token(CUSTOMER)?;

    let mut codes = Vec::new();
    for (payment, token) in [("tok_approved", &good), ("tok_planted_5f1c6e0a", &good)]
        .into_iter()
        .chain([("tok_approved", &foreign)])
    {
        codes.push(place(&system, payment, token).await?);
    }
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::Unauthenticated]);
    system.audit().await?;
    // A stop exports the remaining telemetry.
    for service in Service::PAIR {
        system.stop(service).await?;
    }

    let mut said = vec![(
        "logged",
        system.log(Service::Orders)? + &system.log(Service::Processing)?,
    )];
    for (signal, name) in Signal::ALL.into_iter().zip(["traces", "metrics", "logs"]) {
        let bodies = receiver
            .bodies(signal)
            .context("the export exceeds the buffer")?;
        ensure!(!bodies.is_empty(), "nothing was exported as {name}");
        said.push((name, String::from_utf8_lossy(&bodies.concat()).into_owned()));
    }
    for (where_it_was, text) in said {
        let mut secrets = vec![PLANTED, "tok_approved"];
        // The last part of the token is the signature, which makes it usable; the middle part names the customer.
        secrets.extend(
            [&good, &foreign]
                .into_iter()
                .flat_map(|token| token.split('.').skip(1)),
        );
        for secret in secrets {
            assert!(!text.contains(secret), "{where_it_was} has {secret}");
        }
    }
    system.finish().await
}

async fn place(system: &System, payment: &str, token: &str) -> Result<Code> {
    let request = PlaceOrderRequest {
        customer_id: CUSTOMER.to_owned(),
        ..Draft::of("MUG", 1).paid_with(payment).request()
    };
    let mut request = Request::new(request);
    let bearer = format!("Bearer {token}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    let answer = system.client().place_order(request).await;
    Ok(answer.err().map_or(Code::Ok, |status| status.code()))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_exported_telemetry_is_in_the_registry() -> Result<()> {
    let registry = Registry::read()?;
    let receiver = Receiver::start_keeping_bodies().await?;
    let url = receiver.url();
    let system = System::start_with(&exporting_to(&url, &[])).await?;
    for token in ["tok_approved", "tok_declined", "tok_timeout_once"] {
        let order = system
            .place_order(&Draft::of("MUG", 1).paid_with(token))
            .await?;
        system.watch_until_final(&order.order_id).await?;
    }
    let kinds = eventually("all three signals are received", async || {
        let (metrics, logs) = (receiver.metrics(), receiver.logs());
        let (metrics, logs) = (metrics.context(MORE)?, logs.context(MORE)?);
        let have_come = !metrics.is_empty() && !logs.is_empty();
        Ok((have_come && receiver.spans_received() > 0).then_some((metrics, logs)))
    });
    kinds
        .await
        .with_context(|| format!("after {WAIT_LIMIT:?}"))?;
    system.finish().await?;

    let mut unknown = Vec::new();
    for span in receiver.spans() {
        unknown.extend(registry.objection_to_span(&span));
    }
    for metric in receiver.metrics().context(MORE)? {
        unknown.extend(registry.objection_to_metric(&metric));
    }
    for record in receiver.logs().context(MORE)? {
        let known = registry
            .of_type("event")
            .any(|group| group["name"] == *record.message);
        unknown.extend((!known).then(|| format!("log {:?}", record.message)));
    }
    unknown.sort();
    unknown.dedup();
    assert!(unknown.is_empty(), "{unknown:#?}");
    Ok(())
}

/// The test is inconclusive.
const MORE: &str = "the export exceeds the buffer";

/// docs/telemetry/registry.yaml.
struct Registry {
    groups: Vec<Json>,
}

impl Registry {
    fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/telemetry/registry.yaml");
        let file: Json = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
        let groups = file["groups"].as_array().context("no groups")?.clone();
        Ok(Self { groups })
    }

    fn of_type(&self, name: &str) -> impl Iterator<Item = &Json> {
        let of_type = move |group: &&Json| group["type"] == *name;
        self.groups.iter().filter(of_type)
    }

    /// Why no span of the registry with this name and kind allows this span.
    fn objection_to_span(&self, span: &Span) -> Option<String> {
        let kind = span.kind.to_string();
        let mut objection = "no such name and kind".to_owned();
        for group in self
            .of_type("span")
            .filter(|group| group["span_kind"] == *kind)
        {
            let pattern = group["annotations"]["span_name"]
                .as_str()
                .unwrap_or_default();
            if expanded(pattern, &span.attributes) != span.name {
                continue;
            }
            objection = self.objection_to(group, &span.attributes)?;
        }
        Some(format!("span {kind} {}: {objection}", span.name))
    }

    fn objection_to_metric(&self, metric: &Metric) -> Option<String> {
        let name = &metric.name;
        let Some(group) = self
            .of_type("metric")
            .find(|group| group["metric_name"] == **name)
        else {
            return Some(format!("metric {name}: no such name"));
        };
        let (instrument, boundaries) = written(&metric.instrument);
        let of_group = &group["annotations"]["boundaries"];
        if group["instrument"] != *instrument || group["unit"] != *metric.unit {
            return Some(format!(
                "metric {name}: is a {instrument} in {}",
                metric.unit
            ));
        }
        let of_group = of_group.as_array().into_iter().flatten();
        if !of_group
            .filter_map(Json::as_f64)
            .eq(boundaries.iter().copied())
        {
            return Some(format!("metric {name}: has the boundaries {boundaries:?}"));
        }
        let mut series = metric.series.iter();
        let objection = series.find_map(|attributes| self.objection_to(group, attributes))?;
        Some(format!("metric {name}: {objection}"))
    }

    /// An attribute that is unknown to the group, has another type, or is missing.
    fn objection_to(&self, group: &Json, attributes: &Attributes) -> Option<String> {
        let uses: Vec<&Json> = group["attributes"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        for one in &uses {
            let name = one["ref"].as_str().unwrap_or_default();
            if one["requirement_level"] == "required" && !attributes.contains_key(name) {
                return Some(format!("{name} is missing"));
            }
        }
        for (name, value) in attributes {
            if !uses.iter().any(|one| one["ref"] == **name) {
                return Some(format!("{name} is not one of its attributes"));
            }
            if self.type_of(name) != Some(type_of(value)) {
                return Some(format!("{name} is {value:?}"));
            }
        }
        None
    }

    fn type_of(&self, attribute: &str) -> Option<&str> {
        let groups = self.of_type("attribute_group");
        let mut definitions = groups
            .filter_map(|group| group["attributes"].as_array())
            .flatten();
        definitions.find(|definition| definition["id"] == *attribute)?["type"].as_str()
    }
}

fn type_of(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::Text(_) => "string",
        AttributeValue::Int(_) => "int",
        AttributeValue::Float(_) => "double",
        AttributeValue::Flag(_) => "boolean",
        AttributeValue::Other => "other",
    }
}

fn written(instrument: &InstrumentKind) -> (&'static str, &[f64]) {
    match instrument {
        InstrumentKind::Counter => ("counter", &[]),
        InstrumentKind::UpDownCounter => ("updowncounter", &[]),
        InstrumentKind::Gauge => ("gauge", &[]),
        InstrumentKind::Histogram(boundaries) => ("histogram", boundaries),
        InstrumentKind::Other => ("other", &[]),
    }
}

/// The name of a span from its pattern with attributes in braces.
fn expanded(pattern: &str, attributes: &Attributes) -> String {
    let name = pattern.to_owned();
    attributes.iter().fold(name, |name, (attribute, value)| {
        name.replace(&format!("{{{attribute}}}"), &value.to_string())
    })
}
