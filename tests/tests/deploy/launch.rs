//! A program as started by a manifest.

use std::collections::BTreeMap;
use std::fmt;

/// The program, arguments, environment and files of a container.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The place in the manifests, for messages.
    pub(crate) origin: String,
    /// The service, from the name of the image.
    pub(crate) service: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Mounted files: path in the container, and content.
    pub(crate) files: BTreeMap<String, String>,
}

impl fmt::Display for Launch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.origin)
    }
}

impl Launch {
    /// The value of a setting, if the manifest sets it.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// The value of a setting; panics if the manifest does not set it.
    pub(crate) fn required(&self, name: &str) -> &str {
        let value = self.setting(name);
        value.unwrap_or_else(|| panic!("{self} does not set {name}"))
    }

    /// The launch without arguments among those of a service: a job has arguments.
    pub(crate) fn server<'a>(launches: &'a [Self], service: &str) -> &'a Self {
        Self::find(launches, service, &[])
    }

    /// The launch of a subcommand of a service.
    pub(crate) fn job<'a>(launches: &'a [Self], service: &str, subcommand: &str) -> &'a Self {
        Self::find(launches, service, &[subcommand])
    }

    fn find<'a>(launches: &'a [Self], service: &str, arguments: &[&str]) -> &'a Self {
        let wanted = |launch: &&Self| launch.service == service && launch.arguments == arguments;
        let found: Vec<_> = launches.iter().filter(wanted).collect();
        assert_eq!(
            found.len(),
            1,
            "{service} {arguments:?} is started by {found:#?}"
        );
        found[0]
    }
}

/// The last part of an image's name without its tag, which is the service name.
pub(crate) fn service_of_image(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let end = name.find([':', '@']).unwrap_or(name.len());
    name[..end].to_owned()
}
