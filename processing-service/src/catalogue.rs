//! The catalogue: which SKUs there are and how many pieces of each the business opens with.
//!
//! A CSV file with the header `sku,name,opening_stock`. It is read at start; a mistake in it is a mistake in the
//! configuration, and all of them are named at once, with their lines.

use service::command_line::ExitError;
use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::domain::Sku;

/// The columns, in order.
const HEADER: [&str; 3] = ["sku", "name", "opening_stock"];

/// Mistakes that an error shows; a file in the wrong format has one per line.
const MISTAKES_SHOWN: usize = 10;

/// The SKUs of the business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
}

/// One SKU of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Stock keeping unit.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// Pieces in stock when the business opens.
    pub opening: i64,
}

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file cannot be opened.
    #[error("opening {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file cannot be read, or not as CSV.
    #[error("reading the catalogue")]
    Read(#[from] csv::Error),
    /// The first line is not the header.
    #[error("line 1: expected the header sku,name,opening_stock, got {0:?}")]
    Header(String),
    /// Lines of the file are wrong.
    #[error("{0}")]
    Mistakes(Mistakes),
}

impl From<CatalogueError> for ExitError {
    fn from(error: CatalogueError) -> Self {
        Self::configuration(error).context("CATALOGUE_FILE")
    }
}

/// Wrong lines of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the catalogue is wrong")?;
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
    /// Reads the file at this path.
    pub fn load(path: &Path) -> Result<Self, CatalogueError> {
        let file = std::fs::File::open(path).map_err(|source| CatalogueError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::read(std::io::BufReader::new(file))
    }

    /// Reads a catalogue.
    pub fn read(input: impl Read) -> Result<Self, CatalogueError> {
        // Flexible, so that a line with too few columns is named like every other mistake.
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
        let mut lines = Lines::default();
        for record in reader.records() {
            lines.take(&record?);
        }
        lines.finish()
    }

    /// The SKUs, in the file's order.
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }
}

/// What has been read of a file.
#[derive(Default)]
struct Lines {
    entries: Vec<CatalogueEntry>,
    line_of: HashMap<Sku, u64>,
    mistakes: Vec<String>,
}

impl Lines {
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
            return Err(format!("sku {sku} stands in line {first} already"));
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
    fn a_catalogue_is_read_in_its_order() {
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
    fn every_mistake_is_named_with_its_line() {
        let text =
            "sku,name,opening_stock\nA,HOLDER,3\n,NOTHING,1\nB,LANTERN,-1\nC,SHORT\nA,AGAIN,1\n";

        let error = read(text).unwrap_err();

        let lines = error
            .lines()
            .skip(1)
            .map(|line| line.trim().split(':').next().unwrap());
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines, ["line 3", "line 4", "line 5", "line 6"], "{error}");
        assert!(error.contains("stands in line 2 already"), "{error}");
    }

    #[test]
    fn a_file_of_another_format_is_named_as_such() {
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
    fn a_missing_file_is_named() {
        let error = Catalogue::load(Path::new("no/such/catalogue.csv")).unwrap_err();

        assert!(
            error.to_string().contains("no/such/catalogue.csv"),
            "{error}"
        );
    }
}
