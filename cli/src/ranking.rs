//! Printing a ranking: lines for people, JSON for programs.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use oneiro::{Catalog, Origin, Ranking, Result, Stage};
use serde::Serialize;

use crate::failure::Failure;
use crate::output;
use crate::table::{self, Side};

/// A ranking as JSON.
#[derive(Serialize)]
pub struct Report {
    items: Vec<Ranked>,
    history: Vec<Named>,
    skipped: Vec<String>,
    stages: Vec<Timed>,
    stopped_after: Option<String>,
}

#[derive(Serialize)]
struct Ranked {
    #[serde(flatten)]
    item: Named,
    /// NaN, of a pinned item that never ranks, is null.
    score: f32,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    boost: Option<f32>,
}

/// An item with the names that it has.
#[derive(Serialize)]
pub struct Named {
    item: u32,
    id: String,
    title: Option<String>,
}

#[derive(Serialize)]
struct Timed {
    name: String,
    items: usize,
    ms: f64,
}

impl Report {
    /// `boosts`: what was added to the scores of which items.
    pub fn new(
        catalog: &Catalog,
        ranking: &Ranking,
        history: &[u32],
        skipped: Vec<String>,
        boosts: &BTreeMap<u32, f32>,
    ) -> Result<Self> {
        let ranked = |(item, score, origin): (u32, f32, Origin)| {
            Ok(Ranked {
                item: Named::new(catalog, item)?,
                score,
                from: origin.as_str(),
                boost: boosts.get(&item).copied(),
            })
        };
        Ok(Self {
            items: ranking.iter().map(ranked).collect::<Result<_>>()?,
            history: Named::all(catalog, history)?,
            skipped,
            stages: ranking.stages().iter().map(Timed::new).collect(),
            stopped_after: ranking.stopped_after().map(Into::into),
        })
    }
}

impl Named {
    pub fn all(catalog: &Catalog, items: &[u32]) -> Result<Vec<Self>> {
        items.iter().map(|&item| Self::new(catalog, item)).collect()
    }

    pub fn new(catalog: &Catalog, item: u32) -> Result<Self> {
        let title = catalog.title(item)?.map(Into::into);
        Ok(Self {
            item,
            id: catalog.id(item)?.into(),
            title,
        })
    }
}

impl Timed {
    fn new(stage: &Stage) -> Self {
        Self {
            name: stage.name.clone(),
            items: stage.items,
            ms: ms(stage.time),
        }
    }
}

/// Writes `Title  score` lines to stdout, with their ranks if a person reads them.
pub fn print(catalog: &Catalog, ranking: &Ranking, count: usize) -> Result<(), Failure> {
    let mut rows = Vec::with_capacity(ranking.len());
    let counted = ranking.origins().contains(&Origin::Popularity);
    for (rank, (item, score, _)) in (1..).zip(ranking.iter()) {
        let rank = if output::is_read() {
            format!("{rank}")
        } else {
            String::new()
        };
        rows.push([rank, name(catalog, item)?, shown(score, counted)]);
    }
    output::results(|out| {
        let sides = [Side::Right, Side::Left, Side::Right];
        if !output::is_styled() {
            return table::write(out, "", sides, &rows);
        }
        let mut lines = Vec::new();
        table::write(&mut lines, "", sides, &rows)?;
        let lines = String::from_utf8_lossy(&lines);
        lines
            .lines()
            .try_for_each(|line| writeln!(out, "{}", with_dim_rank(line)))
    })?;
    if note_deadline(ranking) {
        return Ok(());
    }
    match ranking.len() {
        0 => output::note("No item fits."),
        1 if count > 1 => output::note("Only one item fits."),
        len if len < count => output::note(format_args!("Only {len} items fit.")),
        _ => {}
    }
    Ok(())
}

/// Says on stderr that the deadline struck, if it did.
pub fn note_deadline(ranking: &Ranking) -> bool {
    if let Some(stage) = ranking.stopped_after() {
        output::note(format_args!("The deadline struck after `{stage}`."));
    }
    ranking.stopped_after().is_some()
}

/// A score as a person should see it; counts are whole numbers.
pub fn shown(score: f32, counted: bool) -> String {
    match score {
        score if score.is_nan() => "none".into(),
        score if counted => format!("{score:.0}"),
        score => format!("{score:.3}"),
    }
}

/// Writes how long each step took to stderr.
pub fn print_times(opening: Duration, ranking: &Ranking) {
    let mut rows = vec![[
        "open the bundle".to_owned(),
        format!("{:.2} ms", ms(opening)),
    ]];
    rows.extend(
        ranking
            .stages()
            .iter()
            .map(|stage| [stage.name.clone(), format!("{:.2} ms", ms(stage.time))]),
    );
    let mut lines = Vec::new();
    if table::write(&mut lines, "", [Side::Left, Side::Right], &rows).is_ok() {
        output::note(String::from_utf8_lossy(&lines).trim_end());
    }
}

/// An item as a person should see it: its title, or its id where there are no titles.
pub fn name(catalog: &Catalog, item: u32) -> Result<String> {
    let name = match catalog.title(item)? {
        Some(title) if !title.trim().is_empty() => title,
        _ => catalog.id(item)?,
    };
    Ok(output::one_line(name))
}

fn with_dim_rank(line: &str) -> String {
    let start = line.len() - line.trim_start().len();
    let end = line[start..]
        .find(' ')
        .map_or(line.len(), |length| start + length);
    format!("\u{1b}[2m{}\u{1b}[0m{}", &line[..end], &line[end..])
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
