//! Tests of the catalog on small bundles made in memory, sound and damaged.

use proptest::prelude::*;

use super::fixture::{Table, open, plain};
use super::titles::title_key;
use super::*;
use crate::bundle::Bundle;

const GENRES: &str = r#""genres":"tags""#;

fn ids(ids: &[&str]) -> Table {
    Table::default().index("ids", ids)
}

/// Four films and their counts.
fn films() -> Bundle {
    let catalog = ids(&["tt3", "tt1", "tt2", "tt0"])
        .titles(&[
            "The Matrix (1999)",
            "Heat (1995)",
            "Heat (1986)",
            "Amélie (2001)",
        ])
        .list("counts", &[5u32, 2, 9, 0])
        .tags(
            "genres",
            &["Action", "Comedy", "Crime"],
            &[&[0], &[0, 2], &[], &[1]],
        )
        .list("attribute.year", &[1999i64, 1995, i64::MIN, 2001]);
    open(4, &catalog, r#""genres":"tags","year":"integer""#).unwrap()
}

/// What a damaged catalog answers when it is opened, or else verified.
fn defect(items: u32, catalog: &Table, attributes: &str) -> String {
    match open(items, catalog, attributes) {
        Ok(bundle) => bundle.catalog().verify().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn ids_and_items_answer_each_other() {
    let films = films();
    let catalog = films.catalog();
    catalog.verify().unwrap();
    for item in 0..catalog.len() {
        assert_eq!(catalog.item(catalog.id(item).unwrap()).unwrap(), item);
    }
    for id in ["", "tt", "tt00", "tt4", "TT1"] {
        assert!(
            matches!(catalog.item(id), Err(Error::UnknownId { .. })),
            "{id}"
        );
    }
    assert!(matches!(
        catalog.id(4),
        Err(Error::UnknownItem { item: 4, len: 4 })
    ));
}

#[test]
fn titles_are_found_in_many_spellings() {
    let films = films();
    let catalog = films.catalog();
    let spellings = [
        "The Matrix (1999)",
        "matrix",
        "MÁTRIX 1999",
        "matrix, the (1999)",
        " the matri ",
        "m",
    ];
    for text in spellings {
        assert_eq!(catalog.resolve(text).unwrap(), 0, "{text}");
    }
    assert_eq!(catalog.resolve("heat 1986").unwrap(), 2);
    assert_eq!(catalog.resolve("amelie").unwrap(), 3);
    assert_eq!(catalog.resolve("tt1").unwrap(), 1);
    for text in ["", "!?", "Matrix (2003)", "Matri (1999)", "atrix"] {
        assert!(
            matches!(catalog.resolve(text), Err(Error::UnknownTitle { .. })),
            "{text}"
        );
    }
}

#[test]
fn a_text_that_fits_several_titles_lists_them_by_popularity() {
    let films = films();
    assert_eq!(films.catalog().find_title("heat").unwrap(), [2, 1]);
    let Err(Error::AmbiguousTitle { titles, .. }) = films.catalog().resolve("Heat") else {
        unreachable!("two films fit");
    };
    assert_eq!(titles, ["Heat (1986) [tt2]", "Heat (1995) [tt1]"]);
}

#[test]
fn an_ambiguity_lists_ten_titles_at_most() {
    let titles: Vec<String> = (0..30).map(|part| format!("Saw {part}")).collect();
    let bundle = open(30, &plain(30).titles(&titles), "").unwrap();
    let Err(Error::AmbiguousTitle { titles, .. }) = bundle.catalog().resolve("saw") else {
        unreachable!("thirty titles fit");
    };
    assert_eq!(titles.len(), 10);
    assert_eq!(titles[0], "Saw 0 [i000]");
}

#[test]
fn words_that_are_a_title_are_not_taken_for_its_year() {
    let titles = [
        "Blade Runner 2049 (2017)",
        "Blade Runner (1982)",
        "1917 (2019)",
        "Blade (2049)",
    ];
    let bundle = open(4, &plain(4).titles(&titles), "").unwrap();
    let found = |text: &str| bundle.catalog().find_title(text).unwrap();
    assert_eq!(found("blade runner 2049"), [0]);
    assert_eq!(found("blade runner 1982"), [1]);
    assert_eq!(found("1917"), [2]);
    assert_eq!(found("blade 2049"), [3]);
    assert_eq!(found("blade"), [3]);
    assert_eq!(found("blade r"), [0, 1]);
}

#[test]
fn tags_integers_and_counts_are_read_by_item() {
    let films = films();
    let catalog = films.catalog();
    assert_eq!(catalog.tags("genres", 1).unwrap(), ["Action", "Crime"]);
    assert!(catalog.tags("genres", 2).unwrap().is_empty());
    assert_eq!(catalog.integer("year", 0).unwrap(), Some(1999));
    assert_eq!(catalog.integer("year", 2).unwrap(), None);
    assert_eq!(catalog.count(2).unwrap(), 9);
    let kinds: Vec<_> = catalog.attributes().collect();
    assert_eq!(
        kinds,
        [
            ("genres", AttributeKind::Tags),
            ("year", AttributeKind::Integer)
        ]
    );
}

#[test]
fn an_unknown_attribute_is_named_beside_the_known_ones() {
    let films = films();
    let error = films.catalog().tags("mood", 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the bundle carries no attribute `mood`; it has `genres`, `year`"
    );
    let error = films.catalog().integer("genres", 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`attribute`: `genres` is tags, not an integer"
    );
}

#[test]
fn a_bundle_may_do_without_titles_and_counts() {
    let bundle = open(2, &plain(2), "").unwrap();
    let catalog = bundle.catalog();
    catalog.verify().unwrap();
    assert_eq!(catalog.title(1).unwrap(), None);
    assert!(matches!(catalog.count(0), Err(Error::Unsupported { .. })));
    assert!(matches!(
        catalog.find_title("x"),
        Err(Error::Unsupported { .. })
    ));
    assert!(matches!(catalog.resolve("x"), Err(Error::UnknownId { .. })));
    assert_eq!(catalog.resolve("i001").unwrap(), 1);
}

#[test]
fn opening_refuses_what_it_can_see_at_once() {
    let cases: Vec<(Table, &str)> = vec![
        (
            plain(2).without("ids.order"),
            "tensor `ids.order`: expected U32 [2], found no such tensor",
        ),
        (
            plain(2).list("ids.order", &[0u32]),
            "expected U32 [2], found U32 [1]",
        ),
        (
            plain(2).list("ids.order", &[0i64, 1]),
            "expected U32 [2], found I64 [2]",
        ),
        (
            plain(2).list("ids.offsets", &[1u32, 4, 8]),
            "expected 0 as the first offset, found 1",
        ),
        (
            plain(2).list("ids.offsets", &[0u32, 4, 9]),
            "expected 8 as the last offset, found 9",
        ),
        (
            plain(2).list("moods", &[0u32]),
            "tensor `moods`: expected only tensors of format 1",
        ),
        (
            plain(2).strings("titles", &["a", "b"]),
            "tensor `title_keys.offsets`",
        ),
        (
            plain(2).list("counts", &[1u32]),
            "tensor `counts`: expected U32 [2], found U32 [1]",
        ),
        (
            plain(2).list("attribute.year", &[1i64, 2]),
            "an unknown name",
        ),
    ];
    for (catalog, expected) in cases {
        let error = open(2, &catalog, "").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = open(2, &plain(2), r#""year":"integer""#)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("tensor `attribute.year`: expected I64 [2], found no such tensor"),
        "{error}"
    );
    let tags = plain(2)
        .tags("genres", &["a"], &[&[0], &[0]])
        .list("attribute.genres.values", &[0u32]);
    let error = open(2, &tags, GENRES).unwrap_err().to_string();
    assert!(
        error.contains("expected 1 as the last offset, found 2"),
        "{error}"
    );
}

#[test]
fn verify_finds_what_opening_does_not_read() {
    let tags = |values: &[u32]| {
        let table = plain(2).tags("genres", &["a", "b"], &[&[0], &[0, 1]]);
        table.list("attribute.genres.values", values)
    };
    let titled = || plain(2).titles(&["B", "A"]);
    let cases: Vec<(Table, &str, &str)> = vec![
        (
            ids(&["a", "a"]),
            "",
            "`ids.bytes`: expected a string of its own in row 1, found `a` also in row 0",
        ),
        (
            ids(&["", "a"]),
            "",
            "`ids.bytes`: expected an id in row 0, found nothing",
        ),
        (
            ids(&["a\0", "b"]),
            "",
            "expected UTF-8 without NUL in row 0, found NUL",
        ),
        (
            plain(2).list("ids.bytes", &[0xffu8; 8]),
            "",
            "UTF-8 without NUL in row 0, found invalid utf-8",
        ),
        (
            plain(2).list("ids.offsets", &[0u32, 9, 8]),
            "",
            "row 0 between rising offsets up to 8, found 0 and 9",
        ),
        (
            plain(2).list("ids.order", &[1u32, 0]),
            "",
            "an item that sorts after item 1 at position 1, found item 0",
        ),
        (
            plain(2).list("ids.order", &[0u32, 0]),
            "",
            "an item that sorts after item 0 at position 1, found item 0",
        ),
        (
            plain(2).list("ids.order", &[0u32, 2]),
            "",
            "an item below 2 at position 1, found 2",
        ),
        (titled().index("title_keys", &["b", "b"]), "", "row 1"),
        (
            titled().list("title_keys.order", &[0u32, 1]),
            "",
            "an item that sorts after item 0",
        ),
        (
            plain(2)
                .titles(&["A", "A"])
                .list("title_keys.order", &[1u32, 0]),
            "",
            "sorts after item 1",
        ),
        (
            titled().strings("titles", &["B", "C"]),
            "",
            "`c`, the key of its title, in row 1, found `a`",
        ),
        (
            tags(&[0, 1, 0]),
            GENRES,
            "rising tags of item 1, found 1 before 0",
        ),
        (
            tags(&[0, 1, 1]),
            GENRES,
            "rising tags of item 1, found 1 before 1",
        ),
        (tags(&[2, 0, 1]), GENRES, "tags of item 0 below 2, found 2"),
        (
            plain(2).tags("genres", &["a", "a"], &[&[0], &[1]]),
            GENRES,
            "distinct names, found `a` twice",
        ),
        (
            plain(2)
                .tags("genres", &["a"], &[&[0], &[]])
                .list("attribute.genres.offsets", &[0u32, 2, 1]),
            GENRES,
            "rising offsets of item 0 up to 1, found 0 and 2",
        ),
    ];
    for (catalog, attributes, expected) in cases {
        let error = defect(2, &catalog, attributes);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn accessors_name_the_damaged_row() {
    let bundle = open(2, &plain(2).list("ids.bytes", b"i000\xff001"), "").unwrap();
    assert_eq!(bundle.catalog().id(0).unwrap(), "i000");
    let error = bundle.catalog().id(1).unwrap_err().to_string();
    assert!(
        error.contains("tensor `ids.bytes`: expected UTF-8 without NUL in row 1"),
        "{error}"
    );

    let bundle = open(2, &plain(2).list("ids.order", &[7u32, 7]), "").unwrap();
    let error = bundle.catalog().item("i000").unwrap_err().to_string();
    assert!(
        error.contains("tensor `ids.order`: expected an item below 2 at position 1, found 7"),
        "{error}"
    );

    let tags = plain(2)
        .tags("genres", &["a"], &[&[0], &[0]])
        .list("attribute.genres.values", &[0u32, 5]);
    let bundle = open(2, &tags, GENRES).unwrap();
    let error = bundle.catalog().tags("genres", 1).unwrap_err().to_string();
    assert!(error.contains("tags of item 1 below 1, found 5"), "{error}");
}

/// Titles of few words, so that many share words, years and beginnings.
fn titles() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(
        "(The |A )?(a|b|ab|É|2001)( (a|b|1999|2001))?( \\((1999|2001)\\))?",
        1..30,
    )
}

/// The definition of `find_title`, by looking at every key.
fn find_naively(titles: &[String], text: &str) -> Vec<u32> {
    let keys: Vec<String> = titles.iter().map(|title| title_key(title)).collect();
    let those = |fits: &dyn Fn(&str) -> bool| -> Vec<u32> {
        (0..)
            .zip(&keys)
            .filter(|(_, key)| fits(key))
            .map(|(item, _)| item)
            .collect()
    };
    let query = title_key(text);
    if query.contains('\t') {
        return those(&|key| key == query);
    }
    let found = those(&|key| key.split('\t').next() == Some(&query));
    if !found.is_empty() {
        return found;
    }
    if let Some((words, year)) = query.rsplit_once(' ')
        && year.len() == 4
        && year.bytes().all(|byte| byte.is_ascii_digit())
    {
        let found = those(&|key| key == format!("{words}\t{year}"));
        if !found.is_empty() {
            return found;
        }
    }
    those(&|key| key.starts_with(&query))
}

proptest! {
    #[test]
    fn titles_are_found_as_by_looking_at_every_key(titles in titles(), query in titles()) {
        let items = titles.len() as u32;
        let bundle = open(items, &plain(items).titles(&titles), "").unwrap();
        bundle.catalog().verify().unwrap();
        for text in query.iter().chain(&titles) {
            prop_assert_eq!(bundle.catalog().find_title(text).unwrap(), find_naively(&titles, text), "{}", text);
        }
    }

    #[test]
    fn every_id_is_found(names in proptest::collection::btree_set("[a-cé]{1,4}", 1..40), missing in "[a-dé]{0,4}") {
        let names: Vec<String> = names.into_iter().rev().collect();
        let bundle = open(names.len() as u32, &Table::default().index("ids", &names), "").unwrap();
        for (item, name) in (0..).zip(&names) {
            prop_assert_eq!(bundle.catalog().item(name).unwrap(), item);
        }
        let expected = names.iter().position(|name| *name == missing).map(|item| item as u32);
        prop_assert_eq!(bundle.catalog().item(&missing).ok(), expected);
    }

    #[test]
    fn no_catalog_crashes(
        offsets in proptest::collection::vec(0u32..12, 3),
        order in proptest::collection::vec(0u32..6, 4),
        tag_offsets in proptest::collection::vec(0u32..6, 3),
        values in proptest::collection::vec(0u32..4, 4),
        bytes in proptest::collection::vec(any::<u8>(), 8),
    ) {
        let ends = |inner: &[u32], last: u32| [&[0], inner, &[last]].concat();
        let catalog = plain(4)
            .titles(&["a", "b", "c", "d"])
            .list("ids.offsets", &ends(&offsets, 8)).list("ids.bytes", &bytes).list("ids.order", &order)
            .list("title_keys.offsets", &ends(&offsets, 8)).list("title_keys.bytes", &bytes)
            .list("title_keys.order", &order)
            .tags("genres", &["x", "y"], &[&[], &[], &[], &[]])
            .list("attribute.genres.offsets", &ends(&tag_offsets, 4)).list("attribute.genres.values", &values);
        let bundle = open(4, &catalog, GENRES).unwrap();
        let catalog = bundle.catalog();
        let _ = catalog.verify();
        for item in 0..5 {
            let _ = (catalog.id(item), catalog.title(item), catalog.tags("genres", item));
        }
        let _ = (catalog.item("a"), catalog.find_title("a"), catalog.find_title("a 1999"), catalog.resolve("b"));
        let filter = crate::filter::Filter::new().without_tag("genres", "x");
        let admission = filter.admission(catalog, std::iter::empty(), crate::bundle::Seen::Allow).unwrap();
        let _ = (0..6).map(|item| admission.admits(item)).collect::<Vec<_>>();
    }
}
