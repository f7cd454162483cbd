//! Titles, found forgivingly: whatever the case, the accents, the place of the article or the year.
//!
//! Every title has a key ([`title_key`]) and the bundle carries the items sorted by it. A query goes through the same
//! function, so `matrix, The (1999)`, `MÁTRIX 1999` and `The Matri` all reach `The Matrix (1999)` by bisection.

#![forbid(unsafe_code)]

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::strings::{Index, StringTable};
use crate::bundle::Tensors;
use crate::error::Result;

/// Parts the words of a key from its year. It sorts before all that a key's words are made of, so the keys of one
/// body stand together, with and without a year.
const BEFORE_YEAR: char = '\t';

/// The key that a title is found by: rules 1 to 8 of `models/README.md`.
pub(super) fn title_key(title: &str) -> String {
    let (title, year) = split_year(title); // 1
    let title = without_trailing_article(title); // 2
    let folded = title.nfkd().default_case_fold().nfkd(); // 3, 4
    let mut words = String::with_capacity(title.len() + 5);
    for character in folded {
        // 5
        match character.general_category_group() {
            GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number
                if !is_apostrophe(character) =>
            {
                words.push(character);
            }
            GeneralCategoryGroup::Mark => {}
            _ if is_apostrophe(character) => {}
            _ => words.push(' '),
        }
    }
    let mut words = words.split(' ').filter(|word| !word.is_empty()); // 6
    let mut key = words.next().unwrap_or_default().to_owned();
    let mut rest = words.peekable();
    if matches!(key.as_str(), "the" | "a" | "an") && rest.peek().is_some() {
        key = rest.next().unwrap_or_default().to_owned(); // 7
    }
    for word in rest {
        key.push(' ');
        key.push_str(word);
    }
    if let Some(year) = year {
        key.push(BEFORE_YEAR); // 8
        key.push_str(year);
    }
    key
}

/// Cuts a trailing ` (dddd)` off.
fn split_year(title: &str) -> (&str, Option<&str>) {
    let parted = title
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once(" ("));
    match parted {
        Some((body, year)) if is_year(year) => (body, Some(year)),
        _ => (title, None),
    }
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn without_trailing_article(title: &str) -> &str {
    match title.rsplit_once(", ") {
        Some((body, article))
            if ["the", "a", "an"]
                .iter()
                .any(|known| article.eq_ignore_ascii_case(known)) =>
        {
            body
        }
        _ => title,
    }
}

/// U+02BC is a letter to Unicode, the other two are punctuation.
fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}' | '\u{02bc}')
}

/// The titles of a catalog and their keys.
#[derive(Debug)]
pub(super) struct Titles {
    titles: StringTable,
    keys: Index,
}

impl Titles {
    /// The names of the tensors that make up titles.
    pub(super) const TENSORS: [&str; 5] = [
        "titles.offsets",
        "titles.bytes",
        "title_keys.offsets",
        "title_keys.bytes",
        "title_keys.order",
    ];

    /// The titles of a part, if it has any of their tensors.
    pub(super) fn open(tensors: &Tensors, items: usize) -> Result<Option<Self>> {
        if !Self::TENSORS.iter().any(|tensor| tensors.has(tensor)) {
            return Ok(None);
        }
        let titles = StringTable::open(tensors, "titles", Some(items))?;
        let keys = Index::open(tensors, "title_keys", items)?;
        Ok(Some(Self { titles, keys }))
    }

    pub(super) fn get(&self, item: u32) -> Result<&str> {
        self.titles.get(item as usize)
    }

    /// The items that a text means, in the order of their keys; see [`Catalog::find_title`](super::Catalog::find_title).
    pub(super) fn find(&self, text: &str) -> Result<Vec<u32>> {
        let key = title_key(text.trim());
        let (body, year) = match key.split_once(BEFORE_YEAR) {
            Some((body, year)) => (body, Some(year)),
            None => (key.as_str(), None),
        };
        if body.is_empty() {
            return Ok(Vec::new());
        }
        if year.is_some() {
            return self.equal(&key);
        }
        let found = self.with_body(body)?;
        if !found.is_empty() {
            return Ok(found);
        }
        if let Some((words, year)) = body.rsplit_once(' ')
            && is_year(year)
        {
            let found = self.equal(&format!("{words}{BEFORE_YEAR}{year}"))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        self.beginning(body)
    }

    /// Items whose key is `key`.
    fn equal(&self, key: &str) -> Result<Vec<u32>> {
        let start = self.keys.partition(0, |found| found < key.as_bytes())?;
        let end = self
            .keys
            .partition(start, |found| found <= key.as_bytes())?;
        self.keys.items(start, end)
    }

    /// Items whose key is `body`, with any year or none.
    fn with_body(&self, body: &str) -> Result<Vec<u32>> {
        let start = self.keys.partition(0, |found| found < body.as_bytes())?;
        let end = self.keys.partition(start, |found| {
            found
                .strip_prefix(body.as_bytes())
                .is_some_and(|rest| matches!(rest, [] | [b'\t', ..]))
        })?;
        self.keys.items(start, end)
    }

    /// Items whose key begins with `prefix`.
    fn beginning(&self, prefix: &str) -> Result<Vec<u32>> {
        let start = self.keys.partition(0, |found| found < prefix.as_bytes())?;
        let end = self
            .keys
            .partition(start, |found| found.starts_with(prefix.as_bytes()))?;
        self.keys.items(start, end)
    }

    /// Checks every title, every key against its title, and the order of the keys.
    pub(super) fn verify(&self) -> Result<()> {
        self.titles.verify()?;
        self.keys.verify(false)?;
        for row in 0..self.titles.len() {
            let (expected, found) = (title_key(self.titles.get(row)?), self.keys.table.get(row)?);
            if expected != found {
                let expected = format!("`{}`, the key of its title,", expected.escape_debug());
                return Err(self.keys.table.wrong(
                    row,
                    &expected,
                    &format!("`{}`", found.escape_debug()),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        title: String,
        key: String,
    }

    #[test]
    fn keys_agree_with_those_that_bundles_are_written_with() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/title_keys.json");
        let golden: Vec<Golden> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(golden.len() >= 40);
        for Golden { title, key } in golden {
            assert_eq!(title_key(&title), key, "{title}");
        }
    }

    #[test]
    fn the_spellings_of_a_title_share_its_key() {
        for title in [
            "The Matrix (1999)",
            "matrix, The (1999)",
            "MÁTRIX (1999)",
            "Ma\u{301}trix!! (1999)",
        ] {
            assert_eq!(title_key(title), "matrix\t1999", "{title}");
        }
    }

    #[test]
    fn case_folds_in_full() {
        assert_eq!(title_key("STRASSE"), title_key("Straße"));
        assert_eq!(title_key("ΟΔΥΣΣΕΥΣ"), title_key("Οδυσσεύς"));
    }

    #[test]
    fn apostrophes_join_and_other_signs_part() {
        for title in [
            "Ocean's Eleven",
            "Ocean\u{2019}s Eleven",
            "Ocean\u{2bc}s-Eleven",
        ] {
            assert_eq!(title_key(title), "oceans eleven");
        }
    }

    #[test]
    fn a_title_that_is_an_article_stays() {
        assert_eq!(title_key("The"), "the");
        assert_eq!(title_key("A (2002)"), "a\t2002");
        assert_eq!(title_key("The The"), "the");
    }

    #[test]
    fn a_title_without_letters_or_numbers_has_an_empty_key() {
        assert_eq!(title_key(""), "");
        assert_eq!(title_key("…!?"), "");
        assert_eq!(title_key(" (2010)"), "\t2010");
    }
}
