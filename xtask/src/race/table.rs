//! `docs/race.md`, and the lines of the README that are taken from it.

use std::fmt::Write;
use std::fs;

use super::figures::{Figure, Figures, scanned_bytes};
use crate::error::{Error, Result, While};
use crate::workspace::Workspace;

const FILE: &str = "docs/race.md";
const README: &str = "README.md";
const BEGIN: &str = "<!-- race: written by `cargo xtask race`, do not edit -->\n";
const END: &str = "<!-- race: end -->";

const PARTS: [(&str, &str, &str); 4] = [
    (
        "start",
        "Process start to the first recommendation",
        "From the start of the process to the end of its first recommendation, the files in the page cache; the player in C loads a model that ONNX Runtime has optimised ahead.",
    ),
    (
        "one",
        "One user",
        "A history of 50 items in, the best 100 of the others out: gather the rows, run the encoder (SASRec, width 64, two blocks, one thread), scan the catalog.",
    ),
    (
        "scan",
        "The scan alone",
        "The part of the above that goes over the catalog.",
    ),
    (
        "many",
        "64 users at once",
        "The same for 64 users in one call.",
    ),
];

pub fn write(workspace: &Workspace, figures: &Figures) -> Result<()> {
    let path = workspace.path(FILE);
    fs::write(&path, document(figures)).while_doing(|| format!("write {FILE}"))?;
    let readme = workspace.path(README);
    let text = fs::read_to_string(&readme).while_doing(|| format!("read {README}"))?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    let text = format!("{before}{BEGIN}{}{END}{after}", bounds(figures));
    fs::write(&readme, text).while_doing(|| format!("write {README}"))?;
    eprintln!("race: wrote {FILE} and its lines in {README}");
    Ok(())
}

fn missing(mark: &str) -> Error {
    Error::new(format!("{README} has no line `{}`", mark.trim_end()))
}

fn document(figures: &Figures) -> String {
    let mut text = String::from(
        "# The race\n\nWritten by `cargo xtask race`, never by hand. oneiro through its C ABI against what one would write instead, on made-up catalogs of rows of 64 numbers. \
         The players are programs in `benches/race` that answer the same questions; they are asked in turn, a few calls each, in several fresh starts, and first of all their answers are compared: \
         every exact player finds the same 100 items for all 64 users, ties aside. On a virtual machine, a neighbour can take half of a core for seconds. So of a player's times the first figure is the lower quartile: one call in four takes no longer; one call in ten takes longer than the second figure. And players are compared turn by turn: the median of the ratios of their turns' lower quartiles is held to the bounds.\n\n",
    );
    for (name, value) in &figures.about {
        let _ = writeln!(text, "- {name}: {}", value.as_str().unwrap_or_default());
    }
    for (threads, speed) in &figures.bandwidth {
        let _ = writeln!(
            text,
            "- reading memory, threads: {threads}: {speed:.1} GB/s (the sum over 1 GiB, `benches/race/bandwidth.c`)"
        );
    }
    text += "\n## What the race is held to\n\n";
    text += &bounds(figures);
    for (part, title, words) in PARTS {
        let of_part: Vec<&Figure> = figures
            .all
            .iter()
            .filter(|figure| figure.part == part)
            .collect();
        if of_part.is_empty() {
            continue;
        }
        let dates: Vec<&str> = of_part.iter().map(|figure| figure.date.as_str()).collect();
        let date = dates.iter().max().unwrap_or(&"");
        let _ = writeln!(
            text,
            "\n## {title}\n\n{words} `cargo xtask race --only {part}`, {date}.\n"
        );
        text += &table(&of_part);
    }
    if let Some(scan) = figures.of("scan", 1_000_000, 1, "oneiro i8") {
        let _ = writeln!(
            text,
            "\nIn i8 the scan of 1M items reads {:.0} MB: rows and scales.",
            scanned_bytes(scan.items) / 1e6
        );
    }
    text
}

fn bounds(figures: &Figures) -> String {
    let mut text = String::from("| what | found | bound | |\n|---|---|---|---|\n");
    for bound in figures.bounds() {
        let kept = if bound.is_kept() {
            "kept"
        } else {
            "**missed**"
        };
        let _ = writeln!(
            text,
            "| {} | {:.2} {} | {} | {kept} |",
            bound.what,
            bound.found,
            bound.unit,
            bound.limit()
        );
    }
    text
}

/// A row a player, a column a catalog and number of threads.
fn table(figures: &[&Figure]) -> String {
    let mut columns: Vec<(usize, usize)> = figures
        .iter()
        .map(|figure| (figure.items, figure.threads))
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let mut players: Vec<&str> = Vec::new();
    for figure in figures {
        if !players.contains(&figure.player.as_str()) {
            players.push(&figure.player);
        }
    }
    let mut text = String::from("| |");
    for (items, threads) in &columns {
        let _ = write!(text, " {} items, threads: {threads} |", short(*items));
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
    for player in players {
        let _ = write!(text, "| {player} |");
        for &(items, threads) in &columns {
            let found = figures.iter().find(|figure| {
                figure.player == player && (figure.items, figure.threads) == (items, threads)
            });
            match found {
                Some(figure) => {
                    let _ = write!(text, " {} ({}) |", time(figure.quartile), time(figure.p90));
                }
                None => text += " |",
            }
        }
        text.push('\n');
    }
    text
}

fn short(items: usize) -> String {
    match items {
        _ if items.is_multiple_of(1_000_000) => format!("{}M", items / 1_000_000),
        _ if items.is_multiple_of(1_000) => format!("{}k", items / 1_000),
        _ => items.to_string(),
    }
}

fn time(ns: f64) -> String {
    match ns {
        ..1e6 => format!("{:.0} µs", ns / 1e3),
        ..1e7 => format!("{:.2} ms", ns / 1e6),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_a_player_and_a_column_a_catalog() {
        let one = Figure::new(
            "one",
            10_000,
            1,
            "oneiro f32".into(),
            vec![vec![2e3, 3e3, 4e3]],
        );
        let other = Figure::new("one", 1_000_000, 1, "C by hand".into(), vec![vec![2.5e6]]);
        let text = table(&[&one, &other]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| | 10k items, threads: 1 | 1M items, threads: 1 |"
        );
        assert_eq!(lines[2], "| oneiro f32 | 2 µs (4 µs) | |");
        assert_eq!(lines[3], "| C by hand | | 2.50 ms (2.50 ms) |");
    }
}
