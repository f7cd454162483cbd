//! From what people type, ids and titles, to items.

use oneiro::{Catalog, Error, Result};

use crate::output;

/// Looks up ids and titles, and keeps those that nothing fits if they may be skipped.
pub struct Lookup<'a> {
    catalog: &'a Catalog,
    skip_unknown: bool,
    skipped: Vec<String>,
}

impl<'a> Lookup<'a> {
    pub fn new(catalog: &'a Catalog, skip_unknown: bool) -> Self {
        Self {
            catalog,
            skip_unknown,
            skipped: Vec::new(),
        }
    }

    /// The items that the texts mean, in their order. A text that fits several items is never skipped.
    pub fn items(&mut self, texts: &[String]) -> Result<Vec<u32>> {
        let mut items = Vec::with_capacity(texts.len());
        for text in texts {
            match self.catalog.resolve(text) {
                Ok(item) => items.push(item),
                Err(Error::UnknownId { .. } | Error::UnknownTitle { .. }) if self.skip_unknown => {
                    self.skipped.push(text.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(items)
    }

    /// Says on stderr what was skipped, and gives it back.
    pub fn report(self) -> Vec<String> {
        if !self.skipped.is_empty() {
            output::note(format_args!(
                "Skipped, not in the catalog: {}",
                self.skipped.join(", ")
            ));
        }
        self.skipped
    }
}
