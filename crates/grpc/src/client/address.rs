//! Addresses of a service: a list of `http://host:port` or `https://host:port`.
//!
//! A host is a name that may resolve to many replicas (a headless Service), or an IP address.

use std::fmt;

use http::Uri;

use service::config::FromSetting;

/// The addresses of a service; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<Address>);

impl Addresses {
    /// In configured order.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.0.iter()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    origin: Uri,
    host: String,
    port: u16,
    is_secure: bool,
}

impl Address {
    /// Host without the brackets of an IPv6 address: resolved by DNS, and matched against the certificate.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Scheme and authority of the requests, whatever IP address they go to.
    pub(super) fn origin(&self) -> &Uri {
        &self.origin
    }

    fn parse(text: &str) -> Option<Self> {
        let origin: Uri = text.parse().ok()?;
        let is_secure = match origin.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = origin.authority()?;
        let has_user = authority.as_str().contains('@');
        let has_path = !matches!(origin.path(), "" | "/") || origin.query().is_some();
        let host = authority.host();
        if has_user || has_path || host.is_empty() {
            return None;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: host.to_owned(),
            port: authority.port_u16().filter(|port| *port != 0)?,
            is_secure,
            origin,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(formatter)
    }
}

impl FromSetting for Addresses {
    /// An address must not contain credentials; a rejected one that does must not be shown.
    const SECRET: bool = true;

    fn from_setting(text: &str) -> Result<Self, String> {
        let addresses: Option<Vec<_>> = text
            .split(',')
            .map(|part| Address::parse(part.trim()))
            .collect();
        addresses.map(Self).ok_or_else(|| {
            "addresses such as http://host:50052, separated by commas, each with http or https, a host and a port"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_addresses_is_understood() {
        let read =
            Addresses::from_setting("http://processing:50052, https://10.0.0.1:443,http://[::1]:1");

        let read = read.unwrap();
        let parts: Vec<_> = read
            .iter()
            .map(|address| (address.host(), address.port(), address.is_secure()))
            .collect();
        let expected = [
            ("processing", 50052, false),
            ("10.0.0.1", 443, true),
            ("::1", 1, false),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "processing:50052",
            "http://processing",
            "http://processing:0",
            "ftp://processing:1",
            "http://user@processing:1",
            "http://processing:1/path",
            "http://processing:1?query",
            "http://processing:1,",
            "http://processing:66000",
        ] {
            assert!(Addresses::from_setting(text).is_err(), "{text:?}");
        }
    }
}
