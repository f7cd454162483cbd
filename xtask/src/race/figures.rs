//! What was measured, kept between runs, and the bounds that it is held to.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::about;
use crate::error::{Result, While};
use crate::workspace::Workspace;

/// One player's times in one part.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub part: String,
    pub items: usize,
    pub threads: usize,
    pub player: String,
    pub runs: usize,
    /// Nanoseconds: what one in four takes no longer than, and what one in ten takes longer than.
    ///
    /// Not the median: on a virtual machine, a neighbour can take half of a core for seconds.
    pub quartile: f64,
    pub p90: f64,
    /// The lower quartile of each turn, in nanoseconds, in the order of the turns.
    pub turns: Vec<f64>,
    /// When, as `date -u +%F` says.
    pub date: String,
}

impl Figure {
    pub fn new(
        part: &str,
        items: usize,
        threads: usize,
        player: String,
        turns: Vec<Vec<f64>>,
    ) -> Self {
        let times = turns.concat();
        Self {
            part: part.into(),
            items,
            threads,
            player,
            runs: times.len(),
            quartile: quantile(&times, 0.25),
            p90: quantile(&times, 0.9),
            turns: turns.iter().map(|turn| quantile(turn, 0.25)).collect(),
            date: about::said("date", &["-u", "+%F"]),
        }
    }

    fn key(&self) -> (&str, usize, usize, &str) {
        (&self.part, self.items, self.threads, &self.player)
    }

    /// How many times another's time this one takes: the median of what it is turn by turn.
    ///
    /// Whatever else goes on in the machine falls on both players of a turn.
    fn against(&self, other: &Self) -> f64 {
        let turns = self.turns.iter().zip(&other.turns);
        let ratios: Vec<f64> = turns.map(|(own, other)| own / other).collect();
        quantile(&ratios, 0.5)
    }

    fn to_json(&self) -> Value {
        json!({
            "part": self.part, "items": self.items, "threads": self.threads, "player": self.player,
            "runs": self.runs, "quartile_ns": self.quartile, "p90_ns": self.p90,
            "turns_ns": self.turns, "date": self.date,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let number = |name: &str| value[name].as_u64().map(|number| number as usize);
        Some(Self {
            part: text("part")?,
            items: number("items")?,
            threads: number("threads")?,
            player: text("player")?,
            runs: number("runs")?,
            quartile: value["quartile_ns"].as_f64()?,
            p90: value["p90_ns"].as_f64()?,
            turns: serde_json::from_value(value["turns_ns"].clone()).ok()?,
            date: text("date")?,
        })
    }
}

#[derive(Debug, Default)]
pub struct Figures {
    pub all: Vec<Figure>,
    /// Threads and GB/s.
    pub bandwidth: Vec<(usize, f64)>,
    /// What it ran on and with.
    pub about: Map<String, Value>,
}

impl Figures {
    pub fn load(workspace: &Workspace) -> Result<Self> {
        let path = path(workspace);
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(Self::default());
        };
        let reading = || format!("read {}", path.display());
        let value: Value = serde_json::from_str(&text).while_doing(reading)?;
        let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
        let speed = |value: Value| Some((value[0].as_u64()? as usize, value[1].as_f64()?));
        Ok(Self {
            all: list("figures")
                .iter()
                .filter_map(Figure::from_json)
                .collect(),
            bandwidth: list("bandwidth").into_iter().filter_map(speed).collect(),
            about: value["about"].as_object().cloned().unwrap_or_default(),
        })
    }

    pub fn save(&self, workspace: &Workspace) -> Result<()> {
        let path = path(workspace);
        let figures: Vec<Value> = self.all.iter().map(Figure::to_json).collect();
        let value = json!({ "figures": figures, "bandwidth": self.bandwidth, "about": self.about });
        fs::write(&path, format!("{value:#}\n")).while_doing(|| format!("write {}", path.display()))
    }

    /// Takes a figure in the place of an older one.
    pub fn put(&mut self, figure: Figure) {
        eprintln!("  {:28} {:>12.1} µs", figure.player, figure.quartile / 1e3);
        match self.all.iter_mut().find(|old| old.key() == figure.key()) {
            Some(old) => *old = figure,
            None => self.all.push(figure),
        }
    }

    pub fn put_bandwidth(&mut self, threads: usize, speed: f64) {
        eprintln!("  {:28} {speed:>12.1} GB/s", "reading memory");
        self.bandwidth.retain(|(known, _)| *known != threads);
        self.bandwidth.push((threads, speed));
        self.bandwidth.sort_by_key(|(threads, _)| *threads);
    }

    /// Notes the machine and the versions.
    pub fn describe(&mut self, workspace: &Workspace) {
        let about = [
            ("machine", about::machine()),
            ("system", about::said("uname", &["-sr"])),
            ("oneiro", about::commit(workspace)),
            ("Rust", about::said("rustc", &["--version"])),
            ("C", about::said("cc", &["--version"])),
            (
                "packages",
                about::packages(workspace, "benches/race/requirements.in"),
            ),
        ];
        for (name, value) in about {
            self.about.insert(name.into(), value.into());
        }
    }

    pub fn of(&self, part: &str, items: usize, threads: usize, player: &str) -> Option<&Figure> {
        self.all
            .iter()
            .find(|figure| figure.key() == (part, items, threads, player))
    }

    /// The bounds that the race is held to, as far as there are figures.
    pub fn bounds(&self) -> Vec<Bound> {
        let mut bounds = Vec::new();
        let mut against = |part: &str,
                           items: usize,
                           threads: usize,
                           ours: &[&str],
                           theirs: &str,
                           most: f64,
                           what: &str| {
            let Some(theirs) = self.of(part, items, threads, theirs) else {
                return;
            };
            let found = (ours.iter())
                .filter_map(|name| self.of(part, items, threads, name))
                .map(|ours| (ours.against(theirs), ours))
                .min_by(|(a, _), (b, _)| a.total_cmp(b));
            if let Some((found, ours)) = found {
                bounds.push(Bound {
                    what: format!(
                        "{what}, threads: {threads}: {} against {}",
                        ours.player, theirs.player
                    ),
                    found,
                    bound: most,
                    unit: "times its time",
                    at_least: false,
                });
            }
        };
        against(
            "start",
            10_000,
            1,
            &["oneiro f32"],
            "C by hand",
            1.05,
            "process start to the first recommendation",
        );
        for threads in [1, 2] {
            against(
                "one",
                10_000,
                threads,
                &["oneiro f32"],
                "C by hand",
                1.05,
                "one user, 10k items",
            );
            against(
                "one",
                1_000_000,
                threads,
                &EXACT,
                "C by hand",
                0.5,
                "one user, 1M items",
            );
            against(
                "many",
                1_000_000,
                threads,
                &EXACT,
                "ONNX Runtime, MatMul + TopK",
                0.5,
                "64 users, 1M items",
            );
        }
        for &(threads, speed) in &self.bandwidth {
            if let Some(scan) = self.of("scan", 1_000_000, threads, "oneiro i8") {
                bounds.push(Bound {
                    what: format!("the scan of 1M x 64 in i8, threads: {threads}: of the speed of reading memory"),
                    found: scanned_bytes(scan.items) / scan.quartile / speed,
                    bound: 0.6,
                    unit: "of it",
                    at_least: true,
                });
            }
        }
        bounds
    }

    pub fn missed(&self) -> Vec<String> {
        self.bounds()
            .iter()
            .filter(|bound| !bound.is_kept())
            .map(Bound::to_string)
            .collect()
    }
}

/// What a share of the values is below.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The players that rank as the f32 rows do.
const EXACT: [&str; 2] = ["oneiro f32", "oneiro i8, exact"];

/// What an i8 scan reads: 64 numbers and a scale a row.
pub fn scanned_bytes(items: usize) -> f64 {
    items as f64 * (64.0 + 4.0)
}

/// Something the race is held to.
pub struct Bound {
    pub what: String,
    pub found: f64,
    pub bound: f64,
    pub unit: &'static str,
    at_least: bool,
}

impl Bound {
    pub fn is_kept(&self) -> bool {
        match self.at_least {
            true => self.found >= self.bound,
            false => self.found <= self.bound,
        }
    }

    pub fn limit(&self) -> String {
        format!(
            "at {} {:.2}",
            if self.at_least { "least" } else { "most" },
            self.bound
        )
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {:.2} {}, {}",
            self.what,
            self.found,
            self.unit,
            self.limit()
        )
    }
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.path("target/race/figures.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(player: &str, time: f64) -> Figure {
        Figure::new("one", 10_000, 1, player.into(), vec![vec![time]; 3])
    }

    #[test]
    fn a_figure_survives_being_written() {
        let figure = figure("oneiro f32", 12.5);
        assert_eq!(Figure::from_json(&figure.to_json()), Some(figure));
    }

    #[test]
    fn a_newer_figure_takes_the_place_of_an_older_one() {
        let mut figures = Figures::default();
        figures.put(figure("oneiro f32", 2.0));
        figures.put(figure("oneiro f32", 1.0));
        assert_eq!(figures.all.len(), 1);
        assert_eq!(figures.all[0].quartile, 1.0);
    }

    #[test]
    fn players_are_compared_turn_by_turn() {
        let of = |times: [f64; 3]| {
            let turns = times.map(|time| vec![time]).to_vec();
            Figure::new("one", 10_000, 1, "oneiro f32".into(), turns)
        };
        // In the second turn the machine is half as fast for both, in the third for one.
        let found = of([1.0, 2.0, 2.0]).against(&of([2.0, 4.0, 2.0]));
        assert_eq!(found, 0.5);
    }

    #[test]
    fn a_bound_that_is_not_kept_is_missed() {
        let mut figures = Figures::default();
        figures.put(figure("oneiro f32", 104.0));
        figures.put(figure("C by hand", 100.0));
        assert!(figures.missed().is_empty());
        figures.put(figure("oneiro f32", 106.0));
        assert_eq!(figures.missed().len(), 1);
    }
}
