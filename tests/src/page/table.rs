//! A table of a page. Columns of numbers are right-aligned, all others left-aligned; in columns of words lines may break.

use std::fmt;

use super::text::escaped;

#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    is_words: bool,
}

impl Table {
    /// Columns of numbers and short names.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let columns = columns.into_iter().map(|name| Column {
            name: name.to_owned(),
            is_words: false,
        });
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a last column of sentences.
    #[must_use]
    pub fn with_words(mut self, name: &str) -> Self {
        self.columns.push(Column {
            name: name.to_owned(),
            is_words: true,
        });
        self
    }

    /// Adds a row, one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The class of a column's cells in the style sheet.
    fn class(&self, number: usize) -> &'static str {
        let mut cells = self.rows.iter().filter_map(|row| row.get(number));
        match &self.columns[number] {
            column if column.is_words => " class=\"words\"",
            _ if cells.all(|cell| is_number(cell)) => "",
            _ => " class=\"text\"",
        }
    }
}

/// Also with a unit behind it, and a dash for none.
fn is_number(cell: &str) -> bool {
    let begins = cell.trim_start_matches(['+', '-']).chars().next();
    begins.is_none_or(|first| first.is_ascii_digit())
}

/// A `table` element that scrolls sideways in a narrow window.
impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<div class=\"scroll\"><table>\n<tr>")?;
        for (number, column) in self.columns.iter().enumerate() {
            let (class, name) = (self.class(number), escaped(&column.name));
            write!(formatter, "<th{class}>{name}</th>")?;
        }
        writeln!(formatter, "</tr>")?;
        for row in &self.rows {
            write!(formatter, "<tr>")?;
            for (number, cell) in row.iter().enumerate() {
                write!(
                    formatter,
                    "<td{}>{}</td>",
                    self.class(number),
                    escaped(cell)
                )?;
            }
            writeln!(formatter, "</tr>")?;
        }
        write!(formatter, "</table></div>")
    }
}
