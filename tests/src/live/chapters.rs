//! Where to read about what the page shows: the only table of links from the page to the documentation.
//!
//! The page serves these files, and no other, from the source tree. A chapter of the guide that does not exist here is replaced
//! by a page that does.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// A subject that the page can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chapter {
    Hybrid,
    Deadlines,
    Fallback,
    Queue,
    Outbox,
    Inbox,
    DeadLetters,
    Payments,
    Retries,
    Ways,
    Tracing,
    Crashes,
}

/// A link as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ChapterLink {
    title: &'static str,
    href: String,
}

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

impl Chapter {
    pub(super) const ALL: [Self; 12] = [
        Self::Hybrid,
        Self::Deadlines,
        Self::Fallback,
        Self::Queue,
        Self::Outbox,
        Self::Inbox,
        Self::DeadLetters,
        Self::Payments,
        Self::Retries,
        Self::Ways,
        Self::Tracing,
        Self::Crashes,
    ];

    /// Title, words that the name of its chapter in the guide contains, and the page to read otherwise.
    fn entry(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Hybrid => ("The hybrid", "hybrid", "README.md"),
            Self::Deadlines => ("A call and its deadline", "deadline", "README.md"),
            Self::Fallback => (
                "Circuit breaker and fallback",
                "breaker",
                "docs/adr/010-own-circuit-breaker.md",
            ),
            Self::Queue => ("Queues absorb outages", "queue", "docs/faults.md"),
            Self::Outbox => ("Outbox and inbox", "outbox", "ARCHITECTURE.md"),
            Self::Inbox => (
                "Idempotency on both sides",
                "idempotency",
                "ARCHITECTURE.md",
            ),
            Self::DeadLetters => (
                "Poison messages and dead letters",
                "poison",
                "docs/runbooks/dead-letters.md",
            ),
            Self::Payments => ("Saga and compensation", "saga", "ARCHITECTURE.md"),
            Self::Retries => (
                "Timeouts, retries and their budget",
                "retries",
                "docs/faults.md",
            ),
            Self::Ways => ("When not to use which", "when-not", "docs/compare.md"),
            Self::Tracing => ("Observing both halves", "observ", "docs/observability.md"),
            Self::Crashes => (
                "Faults, and what happens then",
                "idempotency",
                "docs/faults.md",
            ),
        }
    }

    pub(super) fn link(self) -> ChapterLink {
        let (title, ..) = self.entry();
        ChapterLink {
            title,
            href: format!("/read/{}", self.file()),
        }
    }

    /// The file to read, from the root of the repository.
    fn file(self) -> String {
        let (_, word, other) = self.entry();
        chapter_of_the_guide(word).unwrap_or_else(|| other.to_owned())
    }
}

fn chapter_of_the_guide(word: &str) -> Option<String> {
    let folder = Path::new(ROOT).join("docs/guide");
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let mut chapters: Vec<_> = names
        .filter(|name| name.ends_with(".md") && name.contains(word))
        .collect();
    chapters.sort();
    chapters.first().map(|name| format!("docs/guide/{name}"))
}

/// The path of a page that a chapter links; `None` for every other file.
pub(super) fn readable(file: &str) -> Option<PathBuf> {
    let is_linked = Chapter::ALL.iter().any(|chapter| chapter.file() == file);
    is_linked.then(|| Path::new(ROOT).join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chapter_links_a_file_that_exists() {
        for chapter in Chapter::ALL {
            let file = chapter.file();
            let path = readable(&file);
            assert!(
                path.is_some_and(|path| path.is_file()),
                "{chapter:?}: {file}"
            );
            let (_, _, other) = chapter.entry();
            assert!(Path::new(ROOT).join(other).is_file(), "{other}");
        }
    }

    #[test]
    fn no_other_file_can_be_read() {
        for file in ["Cargo.toml", "../etc/passwd", "docs/../Cargo.toml", ""] {
            assert_eq!(readable(file), None);
        }
    }
}
