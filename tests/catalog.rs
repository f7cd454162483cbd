//! The catalog and the spaces of the bundles in this repository, as an app sees them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use oneiro::{AttributeKind, Bundle, Cancel, Error, Metric, RowType};

fn tiny() -> Bundle {
    Bundle::open("models/tiny").unwrap()
}

fn resolved(text: &str) -> String {
    let bundle = tiny();
    let catalog = bundle.catalog();
    catalog
        .id(catalog.resolve(text).unwrap())
        .unwrap()
        .to_owned()
}

#[test]
fn both_bundles_verify() {
    for folder in ["models/tiny", "models/demo"] {
        let bundle = Bundle::open(folder).unwrap();
        let mut last = 0;
        bundle
            .verify(&Cancel::new(), &mut |done, total| last = total - done)
            .unwrap();
        assert_eq!(last, 0, "{folder}");
    }
}

#[test]
fn every_id_and_title_leads_back_to_its_item() {
    for folder in ["models/tiny", "models/demo"] {
        let bundle = Bundle::open(folder).unwrap();
        let catalog = bundle.catalog();
        for item in 0..catalog.len() {
            assert_eq!(catalog.item(catalog.id(item).unwrap()).unwrap(), item);
            let title = catalog.title(item).unwrap().unwrap();
            assert!(
                catalog.find_title(title).unwrap().contains(&item),
                "{title}"
            );
        }
    }
}

#[test]
fn a_title_is_found_without_its_year_article_accents_or_end() {
    for (text, id) in [
        ("two rivers (1951)", "film-11"),
        ("Two Rivers 2012", "film-25"),
        ("senor relampago", "film-2"),
        ("STRASSE NACH NORDEN", "film-19"),
        ("clockmakers daughter", "film-1"),
        ("clockmaker's daughter i", "film-3"),
        ("последнии", "film-30"),
        ("雪の駅", "film-36"),
        ("2012", "film-26"),
        ("paper scissors", "film-20"),
        ("kitesurf", "film-12"),
        ("harbour lights part two", "film-28"),
        ("film-5", "film-5"),
    ] {
        assert_eq!(resolved(text), id, "{text}");
    }
}

#[test]
fn titles_that_share_their_words_come_by_popularity() {
    let bundle = tiny();
    let Err(Error::AmbiguousTitle { titles, .. }) = bundle.catalog().resolve("the two rivers")
    else {
        panic!("three films have this title");
    };
    let expected = [
        "Two Rivers (2012) [film-25]",
        "Two Rivers (1951) [film-11]",
        "Two Rivers (1998) [film-7]",
    ];
    assert_eq!(titles, expected);
}

#[test]
fn attributes_are_read_by_name() {
    let bundle = tiny();
    let catalog = bundle.catalog();
    let kinds: Vec<_> = catalog.attributes().collect();
    let expected = [
        ("genres", AttributeKind::Tags),
        ("year", AttributeKind::Integer),
    ];
    assert_eq!(kinds, expected);
    let item = catalog.resolve("Nightjar").unwrap();
    assert_eq!(catalog.integer("year", item).unwrap(), None);
    assert_eq!(catalog.integer("year", 0).unwrap(), Some(1994));
    assert!((0..catalog.len()).any(|item| catalog.tags("genres", item).unwrap().len() > 1));
}

#[test]
fn rows_of_every_type_are_close_to_each_other() {
    let bundle = tiny();
    let full = bundle.space("items").unwrap();
    let (half, small) = (
        bundle.space("half").unwrap(),
        bundle.space("small").unwrap(),
    );
    assert_eq!(full.metric(), Metric::Dot);
    assert_eq!(
        [full.row_type(), half.row_type(), small.row_type()],
        [RowType::F32, RowType::F16, RowType::I8]
    );
    let width = full.width();
    let [mut exact, mut halves, mut smalls] = [(); 3].map(|()| vec![0f32; width]);
    for item in 0..full.len() {
        full.row(item, &mut exact).unwrap();
        half.row(item, &mut halves).unwrap();
        small.row(item, &mut smalls).unwrap();
        let largest = exact
            .iter()
            .fold(0f32, |largest, value| largest.max(value.abs()));
        for column in 0..width {
            // Half a unit in the last place of f16; half a step of the row's 127.
            assert!((exact[column] - halves[column]).abs() <= largest / 2048.0);
            assert!((exact[column] - smalls[column]).abs() <= largest / 127.0 * 0.501);
        }
    }
}
