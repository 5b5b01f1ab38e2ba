//! The shop's stock, derived from the orders.
//!
//! It has every stock code of goods. Codes such as `POST` or `BANK CHARGES` are missing, so an order with one of them
//! is rejected as UNKNOWN_SKU. The opening stock covers every valid line except bulk, which is therefore OUT_OF_STOCK.
//! Both outcomes follow from the file alone, whatever the order of processing.

use std::collections::BTreeMap;

use super::invoice::{Invoice, InvoiceLine};
use super::price::POUND_DECIMALS;

/// A line of at least this many pieces is bulk, which is not stocked. In the sample: five lines, two of them (74,215
/// and 80,995 pieces) mistakes of the shop that were cancelled within minutes.
const BULK: i64 = 1_000;

/// Pieces of each SKU beyond the demand of the file, for manual orders. Less than [`BULK`], otherwise bulk would be in
/// stock.
const SPARE: u64 = 10;

/// The goods of the shop by SKU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopCatalogue {
    /// Entries in SKU order.
    pub entries: BTreeMap<String, Entry>,
}

/// One kind of goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// Pieces in stock before the first order.
    pub opening_stock: u64,
}

impl ShopCatalogue {
    /// The catalogue for `rounds` rounds through the invoices.
    pub fn derive(invoices: &[Invoice], rounds: usize) -> Self {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for line in invoices.iter().flat_map(|invoice| &invoice.lines) {
            if is_goods(&line.sku) {
                let name = name_of(line);
                let entry = entries.entry(line.sku.clone());
                entry.or_insert(Entry::called(name)).prefer_name(line);
            }
        }
        for line in invoices.iter().flat_map(orderable_lines) {
            if let Some(entry) = entries.get_mut(&line.sku) {
                entry.opening_stock += line.quantity.unsigned_abs() * rounds as u64;
            }
        }
        Self { entries }
    }

    /// The text of the `catalogue.csv` that processing-service reads.
    pub fn to_csv(&self) -> anyhow::Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["sku", "name", "opening_stock"])?;
        for (sku, entry) in &self.entries {
            let stock = entry.opening_stock.to_string();
            writer.write_record([sku, &entry.name, &stock])?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }
}

impl Entry {
    fn called(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            opening_stock: SPARE,
        }
    }

    /// The first name is kept, but a clerk's remark on a loss ("smashed", "?") is replaced by the name on a sale.
    fn prefer_name(&mut self, line: &InvoiceLine) {
        let is_remark = self.name.chars().any(char::is_lowercase) || self.name.len() < 4;
        if is_remark && is_orderable(line) && !line.description.is_empty() {
            self.name.clone_from(&line.description);
        }
    }
}

/// Whether every line is valid, of goods, and not bulk.
pub(super) fn is_acceptable(invoice: &Invoice) -> bool {
    let mut lines = invoice.lines.iter();
    lines.all(|line| is_orderable(line) && is_goods(&line.sku) && line.quantity < BULK)
}

/// In the data set, the codes of goods begin with five digits.
fn is_goods(sku: &str) -> bool {
    sku.len() >= 5 && sku.bytes().take(5).all(|byte| byte.is_ascii_digit())
}

fn name_of(line: &InvoiceLine) -> &str {
    if line.description.is_empty() {
        &line.sku
    } else {
        &line.description
    }
}

/// The lines of an invoice that will be accepted, without bulk.
fn orderable_lines(invoice: &Invoice) -> impl Iterator<Item = &InvoiceLine> {
    let accepted = invoice.lines.iter().all(is_orderable);
    let lines = invoice.lines.iter();
    lines.filter(move |line| accepted && line.quantity < BULK)
}

fn is_orderable(line: &InvoiceLine) -> bool {
    let price = line.unit_price.minor_units(POUND_DECIMALS);
    line.quantity > 0 && price.is_ok_and(|pence| pence > 0)
}

#[cfg(test)]
mod tests {
    use super::super::OrderBook;
    use super::*;

    fn catalogue(lines: &str, rounds: usize) -> ShopCatalogue {
        let text = format!(
            "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n{lines}"
        );
        let book = OrderBook::read(text.as_bytes()).unwrap();
        ShopCatalogue::derive(&book.invoices, rounds)
    }

    #[test]
    fn the_catalogue_has_only_goods() {
        let catalogue = catalogue(
            "1,85123A,HOLDER,6,,2.55,1,UK\n1,POST,POSTAGE,1,,18.0,1,UK\n1,M,Manual,1,,1.0,1,UK\n",
            1,
        );

        assert_eq!(catalogue.entries.keys().collect::<Vec<_>>(), ["85123A"]);
    }

    #[test]
    fn stock_covers_all_orders_except_bulk() {
        let catalogue = catalogue(
            "1,85123A,HOLDER,6,,2.55,1,UK\n\
             2,85123A,HOLDER,7,,2.55,1,UK\n\
             3,85123A,HOLDER,80995,,2.55,1,UK\n\
             4,85123A,smashed,-9,,0.0,,UK\n\
             5,85123A,HOLDER,100,,0.0,,UK\n",
            2,
        );

        assert_eq!(
            catalogue.entries["85123A"].opening_stock,
            SPARE + 2 * (6 + 7)
        );
    }

    #[test]
    fn goods_have_their_name_on_a_sale() {
        let catalogue = catalogue(
            "1,84988,?,3000,,0.0,,UK\n2,84988,SET OF 72 DOILIES,1,,1.45,1,UK\n3,22139,,56,,0.0,,UK\n",
            1,
        );

        assert_eq!(catalogue.entries["84988"].name, "SET OF 72 DOILIES");
        assert_eq!(catalogue.entries["22139"].name, "22139");
    }

    #[test]
    fn the_catalogue_is_written_in_the_format_of_processing_service() {
        let catalogue = catalogue("1,82567,\"AIRLINE LOUNGE,METAL SIGN\",2,,2.1,1,UK\n", 1);

        assert_eq!(
            catalogue.to_csv().unwrap(),
            "sku,name,opening_stock\n82567,\"AIRLINE LOUNGE,METAL SIGN\",12\n"
        );
    }
}
