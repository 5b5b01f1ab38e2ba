//! Settings of authentication.

use std::time::Duration;

use service::config::Settings;

use super::jwks_source::JwksSource;

pub(super) const JWKS: &str = "AUTH_JWKS";
pub(super) const AUDIENCE: &str = "AUTH_AUDIENCE";
pub(super) const ISSUER: &str = "AUTH_ISSUER";
pub(super) const CLOCK_SKEW: &str = "AUTH_CLOCK_SKEW";

/// A larger difference is a broken clock, and each second extends the life of a stolen token.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub struct AuthConfig {
    pub jwks: JwksSource,
    /// Required `aud` of a token.
    pub audience: String,
    /// Required `iss` of a token.
    pub issuer: String,
    /// Tolerated clock difference to the issuer; whole seconds.
    pub clock_skew: Duration,
    /// Value in `roles` that makes the caller an operator.
    pub operator_role: String,
}

impl AuthConfig {
    /// `None`: no authentication.
    pub fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let jwks: Option<String> = settings.optional(
            JWKS,
            "key set (JWKS) that tokens are verified with: a file, or an https:// URL (http:// only to loopback); a call then needs `authorization: Bearer TOKEN`, and a customer, the token's `customer_id` or else its `sub`, sees only their own orders; unset: no authentication, every caller may do everything",
        );
        let audience = settings.optional(
            AUDIENCE,
            "`aud` that a token must have; required with AUTH_JWKS",
        );
        let issuer = settings.optional(
            ISSUER,
            "`iss` that a token must have; required with AUTH_JWKS",
        );
        let clock_skew = read_clock_skew(settings);
        let operator_role = settings.value(
            "AUTH_OPERATOR_ROLE",
            "operator",
            "value in the array `roles` of a token whose bearer may do everything",
        );
        let is_wanted = jwks.is_some();
        Some(Self {
            audience: required(settings, AUDIENCE, audience, is_wanted),
            issuer: required(settings, ISSUER, issuer, is_wanted),
            jwks: parse_jwks(settings, &jwks?)?,
            clock_skew,
            operator_role,
        })
    }
}

fn read_clock_skew(settings: &mut Settings<'_>) -> Duration {
    let clock_skew: Duration = settings.value(
        CLOCK_SKEW,
        "30s",
        "tolerated difference to the issuer's clock, in whole seconds up to 5m",
    );
    if clock_skew > MAX_CLOCK_SKEW || clock_skew.subsec_nanos() != 0 {
        settings.reject(CLOCK_SKEW, "must be whole seconds, at most 5m");
    }
    clock_skew
}

/// Half an authentication is rejected: it would look configured and protect nothing.
fn required(
    settings: &mut Settings<'_>,
    name: &'static str,
    value: Option<String>,
    is_wanted: bool,
) -> String {
    match (&value, is_wanted) {
        (None, true) => settings.reject(name, "must be set when AUTH_JWKS is"),
        (Some(_), false) => settings.reject(name, "has no effect unless AUTH_JWKS is set"),
        _ => {}
    }
    value.unwrap_or_default()
}

fn parse_jwks(settings: &mut Settings<'_>, text: &str) -> Option<JwksSource> {
    let parsed = JwksSource::parse(text);
    parsed
        .map_err(|expected| settings.reject(JWKS, expected))
        .ok()
}
