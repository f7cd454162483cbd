//! What was measured, as tables, and what it is held to.

use std::collections::BTreeMap;

use super::Course;
use super::player::{GENAI, INT4, INT8, LLAMA, PLAYERS, Player};

/// By player and question, everything in the order of coming.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<(&'static str, String), Vec<f64>>);

impl Figures {
    pub(super) fn add(&mut self, player: &Player, question: &str, found: f64) {
        let key = (player.name, question.to_owned());
        eprintln!("  {}: {question}: {found:.3e}", player.name);
        self.0.entry(key).or_default().push(found);
    }

    /// The lower quartile, and what one in ten is above.
    fn of(&self, player: &'static str, question: &str) -> Option<(f64, f64)> {
        let mut all = self.0.get(&(player, question.to_owned()))?.clone();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
        Some((at(0.25), at(0.9)))
    }

    fn quartile(&self, player: &'static str, question: &str) -> f64 {
        self.of(player, question).map_or(f64::NAN, |(time, _)| time)
    }

    pub(super) fn print(&self, course: &Course) {
        let speed = |count: usize| {
            move |(time, most): (f64, f64)| {
                let count = count as f64 * 1e9;
                format!("{:.0} ({:.0})", count / time, count / most)
            }
        };
        let ms = |(time, most): (f64, f64)| format!("{:.0} ({:.0})", time / 1e6, most / 1e6);
        let mib = |(bytes, _): (f64, f64)| format!("{:.0}", bytes / f64::from(1 << 20));
        type Shown<'a> = Box<dyn Fn((f64, f64)) -> String + 'a>;
        let mut columns: Vec<(String, String, Shown)> = Vec::new();
        for &rows in course.prefill {
            let title = format!("prefill of {rows}, tok/s");
            columns.push((title, course.prefill(rows), Box::new(speed(rows))));
        }
        let title = "decode, tok/s".to_owned();
        columns.push((title, course.decode(), Box::new(speed(course.decode.1))));
        columns.push(("titles, cold, ms".into(), course.cold(), Box::new(ms)));
        columns.push(("titles, warm, ms".into(), course.warm(), Box::new(ms)));
        columns.push(("open, ms".into(), "open".into(), Box::new(ms)));
        columns.push(("private, MiB".into(), "private".into(), Box::new(mib)));
        columns.push(("shared, MiB".into(), "shared".into(), Box::new(mib)));
        let titles: Vec<&str> = columns.iter().map(|(title, ..)| title.as_str()).collect();
        println!("| | {} |", titles.join(" | "));
        println!("|---|{}", "---|".repeat(columns.len()));
        let mut names: Vec<&str> = PLAYERS.iter().map(|player| player.name).collect();
        let others = self.0.keys().map(|(name, _)| *name);
        names.extend(
            others
                .filter(|name| !names.contains(name))
                .collect::<Vec<_>>(),
        );
        names.dedup();
        for name in names {
            let cell = |(_, question, shown): &(String, String, Shown)| {
                self.of(name, question).map_or(String::new(), shown)
            };
            let cells: Vec<String> = columns.iter().map(cell).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                println!("| {name} | {} |", cells.join(" | "));
            }
        }
        println!();
        if self.0.keys().any(|(name, _)| *name == GENAI) {
            self.print_bounds(course);
        }
    }

    fn print_bounds(&self, course: &Course) {
        let best = |players: &[&'static str], question: &str| {
            let quicker = |&&name: &&&'static str| self.quartile(name, question);
            let best = players
                .iter()
                .min_by(|a, b| quicker(a).total_cmp(&quicker(b)));
            best.map_or(("", f64::NAN), |name| {
                (*name, self.quartile(name, question))
            })
        };
        let peers = [&[GENAI], &LLAMA[..]].concat();
        println!("| what | found | bound | |\n|---|---|---|---|");
        let times = |what: &str,
                     ours: &'static str,
                     theirs: &[&'static str],
                     question: &str,
                     least: f64| {
            let (theirs, time) = best(theirs, question);
            let gain = time / self.quartile(ours, question);
            let kept = if gain >= least { "kept" } else { "**missed**" };
            println!(
                "| {what}: {ours} against {theirs} | {gain:.2} times as quick | at least {least} | {kept} |"
            );
        };
        for rows in [256, 512] {
            let question = course.prefill(rows);
            times(
                &format!("prefill of {rows}"),
                INT4,
                &[GENAI],
                &question,
                1.3,
            );
            times(&format!("prefill of {rows}"), INT8, &LLAMA, &question, 1.0);
        }
        times("decode", INT4, &peers, &course.decode(), 1.0);
        let (ours, time) = best(&[INT8, INT4], &course.cold());
        times("titles, cold", ours, &peers, &course.cold(), 1.5);
        let share = time / self.quartile(ours, &course.prefill(course.scores));
        let kept = if share <= 1.6 { "kept" } else { "**missed**" };
        println!(
            "| titles, cold: {ours} against its own prefill of {} | {share:.2} times its time | at most 1.6 | {kept} |\n",
            course.scores
        );
    }
}
