//! What was done and seen, in words: the last lines, each with the chapter that explains it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::chapters::{Chapter, ChapterLink};

/// Lines kept.
const LINES: usize = 30;

#[derive(Clone, Debug, Serialize)]
pub(super) struct StoryLine {
    /// From 1, so that a reader knows which lines it has announced.
    number: u64,
    /// Unix milliseconds.
    at: u128,
    text: String,
    chapter: ChapterLink,
}

/// The story; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Story(Arc<Mutex<(u64, VecDeque<StoryLine>)>>);

impl Story {
    pub(super) fn tell(&self, chapter: Chapter, text: impl Into<String>) {
        let mut story = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, lines) = &mut *story;
        *count += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        lines.push_front(StoryLine {
            number: *count,
            at: now.unwrap_or_default().as_millis(),
            text: text.into(),
            chapter: chapter.link(),
        });
        lines.truncate(LINES);
    }

    /// Newest first.
    pub(super) fn lines(&self) -> Vec<StoryLine> {
        let story = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        story.1.iter().cloned().collect()
    }
}
