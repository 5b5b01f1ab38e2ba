//! Parses CSV lines into invoices.
//!
//! A file whose text does not match its columns is malformed and fails with the line number. A well-formed value that
//! is invalid in an order, such as a negative quantity, is kept as it is.

use std::collections::HashMap;

use anyhow::Context;
use csv::{ReaderBuilder, StringRecord, Trim};

use super::price::DecimalPrice;

/// All lines that share an invoice number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// InvoiceNo; the data set's cancellations begin with C.
    pub number: String,
    /// The customer, or `guest`.
    pub customer_id: String,
    /// The lines in file order.
    pub lines: Vec<InvoiceLine>,
}

/// One line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceLine {
    /// StockCode, case-sensitive: `85123a` and `85123A` are different.
    pub sku: String,
    /// Description; may be empty, and is sometimes a clerk's remark.
    pub description: String,
    /// Quantity; negative for returns.
    pub quantity: i64,
    /// UnitPrice in pounds.
    pub unit_price: DecimalPrice,
}

/// The customer id of an invoice without an account.
pub const GUEST: &str = "guest";

/// Reads invoices in the order of their first lines.
pub fn read(text: impl std::io::Read) -> anyhow::Result<Vec<Invoice>> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text);
    let columns = Columns::find(reader.headers().context("the header cannot be read")?)?;
    let mut invoices: Vec<Invoice> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for record in reader.records() {
        let record = record.context("a line cannot be read")?;
        let line = record.position().map_or(0, |position| position.line());
        let row = columns
            .row(&record)
            .with_context(|| format!("line {line}"))?;
        let next = invoices.len();
        let position = *positions.entry(row.invoice.clone()).or_insert(next);
        if position == next {
            invoices.push(row.opening_invoice());
        }
        invoices[position].lines.push(row.line);
    }
    Ok(invoices)
}

/// Indexes of the columns that an order needs.
struct Columns {
    invoice: usize,
    sku: usize,
    description: usize,
    quantity: usize,
    unit_price: usize,
    customer: usize,
}

struct InvoiceRow {
    invoice: String,
    customer: String,
    line: InvoiceLine,
}

impl Columns {
    fn find(header: &StringRecord) -> anyhow::Result<Self> {
        let column = |name: &str| {
            let position = header.iter().position(|column| column == name);
            position.with_context(|| format!("the header (line 1) has no column {name}"))
        };
        Ok(Self {
            invoice: column("InvoiceNo")?,
            sku: column("StockCode")?,
            description: column("Description")?,
            quantity: column("Quantity")?,
            unit_price: column("UnitPrice")?,
            customer: column("CustomerID")?,
        })
    }

    fn row(&self, record: &StringRecord) -> anyhow::Result<InvoiceRow> {
        // The reader refuses records shorter than the header, so every column exists.
        let text = |column: usize| record.get(column).unwrap_or_default();
        let invoice = text(self.invoice);
        anyhow::ensure!(!invoice.is_empty(), "InvoiceNo is empty");
        let quantity = text(self.quantity);
        Ok(InvoiceRow {
            invoice: invoice.to_owned(),
            customer: text(self.customer).to_owned(),
            line: InvoiceLine {
                sku: text(self.sku).to_owned(),
                description: text(self.description).to_owned(),
                quantity: quantity
                    .parse()
                    .with_context(|| format!("Quantity {quantity:?} is no whole number"))?,
                unit_price: text(self.unit_price).parse().context("UnitPrice")?,
            },
        })
    }
}

impl InvoiceRow {
    fn opening_invoice(&self) -> Invoice {
        Invoice {
            number: self.invoice.clone(),
            customer_id: customer_id(&self.customer),
            lines: Vec::new(),
        }
    }
}

/// `12748.0` is the number 12748 as printed by tools that store the column as a float; empty and zero mean no account.
fn customer_id(text: &str) -> String {
    let id = text.strip_suffix(".0").unwrap_or(text);
    match id {
        "" | "0" => GUEST.to_owned(),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn read_lines(lines: &str) -> anyhow::Result<Vec<Invoice>> {
        read(format!("{HEADER}{lines}").as_bytes())
    }

    #[test]
    fn lines_of_one_invoice_become_one_order_in_file_order() {
        let invoices = read_lines(
            "536365,85123A,\"HOLDER, WHITE\",6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n\
             536366,22633,WARMER,6,12/1/10 8:28,1.85,17850,United Kingdom\n\
             536365,71053,LANTERN,-2,2010-12-01 08:26:00,3.39,17850.0,United Kingdom\n",
        )
        .unwrap();

        let numbers: Vec<_> = invoices.iter().map(|invoice| &invoice.number).collect();
        assert_eq!(numbers, ["536365", "536366"]);
        let lines = &invoices[0].lines;
        assert_eq!(lines[0].description, "HOLDER, WHITE");
        assert_eq!((lines[1].sku.as_str(), lines[1].quantity), ("71053", -2));
    }

    #[test]
    fn a_customer_is_a_number_or_a_guest() {
        assert_eq!(customer_id("12748.0"), "12748");
        assert_eq!(customer_id("12748"), "12748");
        assert_eq!(customer_id("120.0"), "120");
        assert_eq!(customer_id("0.0"), "guest");
        assert_eq!(customer_id("0"), "guest");
        assert_eq!(customer_id(""), "guest");
    }

    #[test]
    fn a_malformed_line_is_named() {
        let first = "536365,71053,LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom\n";
        for (line, complaint) in [
            (
                "536366,1,A,six,,1.85,1,UK",
                "line 3: Quantity \"six\" is no whole number",
            ),
            ("536366,1,A,6,,1.85.1,1,UK", "line 3: UnitPrice: \"1.85.1\""),
            (",1,A,6,,1.85,1,UK", "line 3: InvoiceNo is empty"),
            ("536366,1,A,6", "line: 3"),
        ] {
            let error = read_lines(&format!("{first}{line}\n")).unwrap_err();

            let message = format!("{error:#}");
            assert!(message.contains(complaint), "{message}");
        }
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read("InvoiceNo,StockCode\n1,2\n".as_bytes()).unwrap_err();

        assert!(error.to_string().contains("no column Description"));
    }
}
