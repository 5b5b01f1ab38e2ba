//! The catalogue: the SKUs with their names and opening stock.
//!
//! A CSV file with the header `sku,name,opening_stock`, read at start. Mistakes in it are configuration errors; all are
//! reported at once, with their lines.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use service::command_line::ExitError;

use crate::domain::Sku;

const HEADER: [&str; 3] = ["sku", "name", "opening_stock"];

/// Mistakes listed in an error message: a file in the wrong format has one per line.
const MISTAKES_SHOWN: usize = 10;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    pub sku: Sku,
    pub name: String,
    /// Pieces in stock before the first order.
    pub opening: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("opening {}", path.display())]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    /// An I/O error, or not CSV.
    #[error("reading the catalogue")]
    Read(#[from] csv::Error),
    #[error("line 1: expected the header sku,name,opening_stock, got {0:?}")]
    Header(String),
    #[error("{0}")]
    Mistakes(Mistakes),
}

impl From<CatalogueError> for ExitError {
    fn from(error: CatalogueError) -> Self {
        Self::configuration(error).context("CATALOGUE_FILE")
    }
}

/// Invalid lines of a catalogue, one message each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("invalid catalogue")?;
        for mistake in self.0.iter().take(MISTAKES_SHOWN) {
            write!(formatter, "\n  {mistake}")?;
        }
        match self.0.len().saturating_sub(MISTAKES_SHOWN) {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

impl Catalogue {
    pub fn load(path: &Path) -> Result<Self, CatalogueError> {
        let file = std::fs::File::open(path).map_err(|source| CatalogueError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::read(std::io::BufReader::new(file))
    }

    pub fn read(input: impl Read) -> Result<Self, CatalogueError> {
        // Flexible: a line with too few columns is reported like every other mistake.
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = reader.headers()?;
        if header != HEADER[..] {
            return Err(CatalogueError::Header(
                header.iter().collect::<Vec<_>>().join(","),
            ));
        }
        let mut lines = CatalogueLines::default();
        for record in reader.records() {
            lines.take(&record?);
        }
        lines.finish()
    }

    /// In the order of the file.
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }
}

/// Entries and mistakes of the lines read so far.
#[derive(Default)]
struct CatalogueLines {
    entries: Vec<CatalogueEntry>,
    line_of: HashMap<Sku, u64>,
    mistakes: Vec<String>,
}

impl CatalogueLines {
    fn take(&mut self, record: &csv::StringRecord) {
        let line = record.position().map_or(0, csv::Position::line);
        match self.entry(record, line) {
            Ok(entry) => self.entries.push(entry),
            Err(mistake) => self.mistakes.push(format!("line {line}: {mistake}")),
        }
    }

    fn entry(&mut self, record: &csv::StringRecord, line: u64) -> Result<CatalogueEntry, String> {
        let fields: Vec<&str> = record.iter().collect();
        let &[sku, name, opening] = fields.as_slice() else {
            return Err(format!("expected 3 columns, got {}", fields.len()));
        };
        let sku = Sku::parse(sku).map_err(|error| format!("sku {sku:?}: {error}"))?;
        if let Some(first) = self.line_of.insert(sku.clone(), line) {
            return Err(format!("sku {sku} is already in line {first}"));
        }
        let opening: u32 = opening.parse().map_err(|_| {
            format!("opening_stock {opening:?}: expected a whole number, 0 or more")
        })?;
        Ok(CatalogueEntry {
            sku,
            name: name.to_owned(),
            opening: i64::from(opening),
        })
    }

    fn finish(self) -> Result<Catalogue, CatalogueError> {
        if self.mistakes.is_empty() {
            return Ok(Catalogue {
                entries: self.entries,
            });
        }
        Err(CatalogueError::Mistakes(Mistakes(self.mistakes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Catalogue, String> {
        Catalogue::read(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_catalogue_keeps_the_order_of_its_file() {
        let catalogue =
            read("sku,name,opening_stock\nB,\"LANTERN, WHITE\",3\nA,HOLDER,0\n").unwrap();

        let entries: Vec<_> = catalogue
            .entries()
            .iter()
            .map(|e| (e.sku.as_str(), e.name.as_str(), e.opening))
            .collect();
        assert_eq!(entries, [("B", "LANTERN, WHITE", 3), ("A", "HOLDER", 0)]);
    }

    #[test]
    fn all_mistakes_are_reported_with_their_lines() {
        let text =
            "sku,name,opening_stock\nA,HOLDER,3\n,NOTHING,1\nB,LANTERN,-1\nC,SHORT\nA,AGAIN,1\n";

        let error = read(text).unwrap_err();

        let lines = error
            .lines()
            .skip(1)
            .map(|line| line.trim().split(':').next().unwrap());
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines, ["line 3", "line 4", "line 5", "line 6"], "{error}");
        assert!(error.contains("already in line 2"), "{error}");
    }

    #[test]
    fn a_file_with_another_header_is_rejected() {
        let error = read("InvoiceNo,StockCode\n1,2\n").unwrap_err();

        assert!(
            error.contains("expected the header") && error.contains("InvoiceNo"),
            "{error}"
        );
    }

    #[test]
    fn a_long_list_of_mistakes_is_shortened() {
        let text = format!("sku,name,opening_stock\n{}", "A,B\n".repeat(25));

        let error = read(&text).unwrap_err();

        assert!(error.ends_with("and 15 more"), "{error}");
    }

    #[test]
    fn a_missing_file_is_reported_with_its_path() {
        let error = Catalogue::load(Path::new("no/such/catalogue.csv")).unwrap_err();

        assert!(
            error.to_string().contains("no/such/catalogue.csv"),
            "{error}"
        );
    }
}
