//! The guide is checked against the code: what its chapters name exists, and every command is run or says why not.
//!
//! Links are checked with those of all pages, in `pages.rs`. The commands are run by `docs/guide/run.py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = "docs/guide";

/// Endings of files, which look like the last part of a metric's name.
const FILES: [&str; 11] = [
    "csv", "db", "env", "html", "json", "jsonl", "md", "proto", "py", "rs", "yaml",
];

struct Chapter {
    name: String,
    /// Without the fenced blocks.
    prose: String,
    blocks: Vec<Block>,
}

struct Block {
    language: String,
    code: String,
    /// The last line before it that is not empty.
    before: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn chapters() -> Vec<Chapter> {
    let entries = fs::read_dir(root().join(GUIDE)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let chapters: Vec<_> = names
        .filter(|name| ending(name) == "md")
        .map(|name| {
            let text = read(&format!("{GUIDE}/{name}"));
            parse(name, &text)
        })
        .collect();
    assert!(chapters.len() > 20, "{} chapters", chapters.len());
    chapters
}

fn parse(name: String, text: &str) -> Chapter {
    let mut prose = String::new();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            match open.take() {
                Some(block) => blocks.push(block),
                None => {
                    open = Some(Block {
                        language: language.to_owned(),
                        code: String::new(),
                        before: before.to_owned(),
                    });
                }
            }
        } else {
            let text = open.as_mut().map_or(&mut prose, |block| &mut block.code);
            text.push_str(line);
            text.push('\n');
        }
        if !line.is_empty() {
            before = line;
        }
    }
    assert!(open.is_none(), "{name}: a block has no end");
    Chapter {
        name,
        prose,
        blocks,
    }
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// Code spans of a line that are not the label of a link.
fn spans(line: &str) -> Vec<&str> {
    let pieces: Vec<&str> = line.split('`').collect();
    let pairs = pieces.windows(2).step_by(2);
    pairs
        .filter(|pair| !pair[0].ends_with('['))
        .map(|pair| pair[1])
        .collect()
}

/// The text of all files of code and contract that a line links to.
fn linked_code(line: &str) -> String {
    let targets = line.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split([')', '#']).next());
    targets
        .filter(|target| !target.contains("://"))
        .filter(|target| ["rs", "json", "proto"].contains(&ending(target)))
        .map(|target| read(&format!("{GUIDE}/{target}")))
        .collect()
}

fn is_part_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let after = &text[at + word.len()..];
        !text[..at].ends_with(is_part_of_a_word) && !after.starts_with(is_part_of_a_word)
    })
}

/// Such as `RETRY_FOR`.
fn may_be_a_setting(span: &str) -> bool {
    let may_be_in_one = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    span.contains('_') && span.chars().all(may_be_in_one)
}

/// Such as `outbox.oldest.age`.
fn may_be_a_metric(span: &str) -> bool {
    let may_be_in_one = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    span.contains('.') && span.chars().all(may_be_in_one) && !FILES.contains(&ending(span))
}

#[test]
fn every_chapter_is_in_the_summary() {
    let summary = read(&format!("{GUIDE}/SUMMARY.md"));
    for chapter in chapters() {
        let is_listed = summary.contains(&format!("]({})", chapter.name));
        assert!(
            is_listed || chapter.name == "SUMMARY.md",
            "{}",
            chapter.name
        );
    }
}

/// `run.py` runs the blocks `sh` and compares with the blocks `text`; a block of another language would never be run.
#[test]
fn every_block_is_run_compared_or_says_why_not() {
    let front_page = parse("README.md".to_owned(), &read("README.md"));
    for chapter in chapters().into_iter().chain([front_page]) {
        for block in &chapter.blocks {
            let known = ["sh", "text", "mermaid"].contains(&block.language.as_str());
            assert!(known, "{}: {}", chapter.name, block.language);
            if let Some(mark) = block.before.strip_prefix("<!-- not run:") {
                let reason = mark.strip_suffix(" -->").expect("the mark is one line");
                assert!(!reason.trim().is_empty(), "{}", chapter.name);
            }
        }
        let marks = chapter.prose.matches("<!--").count();
        let marked = chapter.blocks.iter();
        let marked = marked
            .filter(|block| block.language == "sh" && block.before.starts_with("<!-- not run: "));
        assert_eq!(
            marks,
            marked.count(),
            "{}: a mark without a block",
            chapter.name
        );
    }
}

#[test]
fn every_make_target_exists() {
    let makefile = read("Makefile");
    let mut missing = Vec::new();
    for chapter in chapters() {
        let prose = chapter.prose.lines().flat_map(spans);
        let commands = chapter.blocks.iter().filter(|block| block.language == "sh");
        for code in prose.chain(commands.map(|block| block.code.as_str())) {
            for (at, word) in code.match_indices("make ") {
                let target = code[at + word.len()..].split([' ', '\n']).next().unwrap();
                if !makefile.contains(&format!("\n{target}:")) {
                    missing.push(format!("{}: make {target}", chapter.name));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_setting_metric_and_symbol_exists() {
    let configuration = read("docs/configuration.md");
    let registry = read("docs/telemetry/registry.yaml");
    let is_setting = |name: &str| configuration.contains(&format!("\n| `{name}` |"));
    let is_metric = |name: &str| registry.contains(&format!("metric_name: \"{name}\""));
    let mut missing = Vec::new();
    for chapter in chapters() {
        for line in chapter.prose.lines() {
            let code = linked_code(line);
            // A row of a table names what its file has.
            let is_row = line.starts_with('|') && !code.is_empty();
            for span in spans(line) {
                let exists = if may_be_a_metric(span) {
                    is_metric(span)
                } else if is_row && span.chars().all(is_part_of_a_word) {
                    has_word(&code, span) || is_setting(span)
                } else if may_be_a_setting(span) {
                    is_setting(span)
                } else {
                    true
                };
                if !exists {
                    missing.push(format!("{}: {span}", chapter.name));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
