//! The catalogue: the SKUs with their names and opening stock.
//!
//! A CSV file with the header `sku,name,opening_stock`, read at start. Mistakes in it are configuration errors; all are
//! reported at once, with their lines.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use csv::{Position, StringRecord};
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

impl Catalogue {
    /// # Errors
    /// When the file cannot be read or has invalid lines.
    pub fn load(path: &Path) -> Result<Self, ExitError> {
        let file = File::open(path).map_err(|error| {
            ExitError::configuration(error).context(&format!("opening {}", path.display()))
        });
        file.and_then(|file| Self::read(BufReader::new(file)))
            .map_err(|error| error.context("CATALOGUE_FILE"))
    }

    /// # Errors
    /// When the input is no CSV, has another header or has invalid lines; the error lists those.
    pub fn read(input: impl Read) -> Result<Self, ExitError> {
        let unreadable =
            |error: csv::Error| ExitError::configuration(error).context("reading the catalogue");
        // Flexible: a line with too few columns is reported like every other mistake.
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = reader.headers().map_err(unreadable)?;
        if header != HEADER[..] {
            let header = header.iter().collect::<Vec<_>>().join(",");
            let (line, expected) = ("line 1", "expected the header sku,name,opening_stock");
            return Err(ExitError::configuration(format!(
                "{line}: {expected}, got {header:?}"
            )));
        }
        let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
        let mut line_of = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let line = record.position().map_or(0, Position::line);
            match entry(&record, line, &mut line_of) {
                Ok(entry) => entries.push(entry),
                Err(mistake) => mistakes.push(format!("\n  line {line}: {mistake}")),
            }
        }
        if mistakes.is_empty() {
            return Ok(Self { entries });
        }
        let more = match mistakes.len().saturating_sub(MISTAKES_SHOWN) {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        mistakes.truncate(MISTAKES_SHOWN);
        let shown = mistakes.concat();
        Err(ExitError::configuration(format!(
            "invalid catalogue{shown}{more}"
        )))
    }

    /// In the order of the file.
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }
}

/// Parses a line. `line_of` has the SKUs of the lines before.
fn entry(
    record: &StringRecord,
    line: u64,
    line_of: &mut HashMap<Sku, u64>,
) -> Result<CatalogueEntry, String> {
    let fields: Vec<&str> = record.iter().collect();
    let &[sku, name, opening] = fields.as_slice() else {
        return Err(format!("expected 3 columns, got {}", fields.len()));
    };
    let sku = Sku::parse(sku).map_err(|error| format!("sku {sku:?}: {error}"))?;
    if let Some(first) = line_of.insert(sku.clone(), line) {
        return Err(format!("sku {sku} is already in line {first}"));
    }
    let opening: u32 = opening
        .parse()
        .map_err(|_| format!("opening_stock {opening:?}: expected a whole number, 0 or more"))?;
    Ok(CatalogueEntry {
        sku,
        name: name.to_owned(),
        opening: i64::from(opening),
    })
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
