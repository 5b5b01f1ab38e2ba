//! Reports as one self-contained HTML page: text, tables and plots, without scripts and without a network.
//!
//! ```text
//! Page::new(title) ─▶ heading, paragraph, table, plots … ─▶ Display: the whole document
//! ```
//!
//! The page is light or dark as the browser prefers, and readable on a phone: plots shrink with the window, wide tables
//! scroll inside their frame. Colours are in the style sheet only, so a plot has the colours of its page. Every text is
//! escaped where it enters the page.
//!
//! Reading order: [`plot`] (lines over a linear, logarithmic or percentile axis), [`scale`] (values to positions, and
//! ticks), [`bars`], [`table`], [`text`](mod@text) (escaping and numbers).

pub mod plot;

pub mod scale;

pub mod bars;
pub mod table;
pub mod text;

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

use self::table::Table;
use self::text::escaped;

const STYLE: &str = include_str!("page/style.css");

/// A page being written, in reading order.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    pub fn new(title: &str) -> Self {
        Self {
            title: escaped(title),
            body: String::new(),
        }
    }

    pub fn heading(&mut self, text: &str) {
        self.add(format_args!("<h2>{}</h2>", escaped(text)));
    }

    pub fn paragraph(&mut self, text: &str) {
        self.add(format_args!("<p>{}</p>", escaped(text)));
    }

    /// A paragraph that ends with links, each a text and an address.
    pub fn links(&mut self, text: &str, links: impl IntoIterator<Item = (String, String)>) {
        let links = anchors(links);
        self.add(format_args!("<p>{} {links}</p>", escaped(text)));
    }

    /// A paragraph that begins with links.
    pub fn links_before(&mut self, links: impl IntoIterator<Item = (String, String)>, text: &str) {
        let links = anchors(links);
        self.add(format_args!("<p>{links}: {}</p>", escaped(text)));
    }

    /// A sentence that must be seen: green when it is good news, otherwise red.
    pub fn verdict(&mut self, is_good: bool, text: &str) {
        let class = if is_good { "good" } else { "bad" };
        let text = escaped(text);
        self.add(format_args!("<p class=\"verdict {class}\">{text}</p>"));
    }

    pub fn table(&mut self, table: &Table) {
        self.add(format_args!("{table}"));
    }

    /// Plots side by side where the window is wide enough, otherwise one below the other.
    pub fn plots<T: fmt::Display>(&mut self, plots: impl IntoIterator<Item = T>) {
        let plots: String = plots.into_iter().map(|plot| plot.to_string()).collect();
        self.add(format_args!("<div class=\"plots\">\n{plots}</div>"));
    }

    /// Writes the page to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn add(&mut self, html: fmt::Arguments<'_>) {
        self.body.push_str(&html.to_string());
        self.body.push('\n');
    }
}

fn anchors(links: impl IntoIterator<Item = (String, String)>) -> String {
    let links = links
        .into_iter()
        .map(|(text, address)| format!("<a href=\"{}\">{}</a>", escaped(&address), escaped(&text)));
    links.collect::<Vec<_>>().join(", ")
}

/// The whole document.
impl fmt::Display for Page {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, body } = self;
        write!(
            formatter,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n\
             </body>\n</html>\n"
        )
    }
}

#[cfg(test)]
mod tests;
