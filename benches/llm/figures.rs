//! What was measured, as tables, and what it is held to.

use std::collections::BTreeMap;

use super::player::{GENAI, GENAI_LAST, INT4, INT8, LLAMA, PLAYERS, Player};
use super::{BANDWIDTH, BANDWIDTH_BYTES, Course};

/// By player and question, everything in the order of coming.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<(&'static str, String), Vec<f64>>);

impl Figures {
    pub(super) fn add(&mut self, player: &Player, question: &str, found: f64) {
        let key = (player.name, question.to_owned());
        eprintln!("  {}: {question}: {found:.3e}", player.name);
        self.0.entry(key).or_default().push(found);
    }

    /// In the order of coming.
    fn all(&self, player: &'static str, question: &str) -> &[f64] {
        let found = self.0.get(&(player, question.to_owned()));
        found.map_or(&[], Vec::as_slice)
    }

    /// The lower quartile, and what one in ten is above.
    fn of(&self, player: &'static str, question: &str) -> Option<(f64, f64)> {
        let all = self.all(player, question);
        (!all.is_empty()).then(|| (quantile(all, 0.25), quantile(all, 0.9)))
    }

    fn quartile(&self, player: &'static str, question: &str) -> f64 {
        quantile(self.all(player, question), 0.25)
    }

    /// How many times another's time one takes: the median of what it is turn by turn. What else goes on in the machine
    /// falls on both of a turn.
    fn against(&self, one: (&'static str, &str), other: (&'static str, &str)) -> f64 {
        let turns = self
            .all(one.0, one.1)
            .iter()
            .zip(self.all(other.0, other.1));
        let ratios: Vec<f64> = turns.map(|(one, other)| one / other).collect();
        quantile(&ratios, 0.5)
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
        let title = "private, opened, MiB".to_owned();
        columns.push((title, "private, opened".into(), Box::new(mib)));
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
            self.print_parts(course);
            self.print_bounds(course);
        }
    }

    /// Where our time goes.
    fn print_parts(&self, course: &Course) {
        let columns = [
            "memory, GB/s",
            "weights, MiB",
            "read once, ms",
            "a token, ms",
            "its head, ms",
            "titles, cold, ms",
            "prompt, ms",
            "tree, ms",
            "probabilities, ms",
        ];
        println!("| where the time goes | {} |", columns.join(" | "));
        println!("|---|{}", "---|".repeat(columns.len()));
        for player in PLAYERS
            .iter()
            .filter(|player| [INT8, INT4].contains(&player.name))
        {
            let of = |question: &str| self.quartile(player.name, question);
            // Bytes a nanosecond.
            let speed = BANDWIDTH_BYTES / of(BANDWIDTH);
            let (weights, token) = (of("weights"), of(&course.decode()) / course.decode.1 as f64);
            let ms = |time: f64| format!("{:.1}", time / 1e6);
            let cells = [
                format!("{speed:.1}"),
                format!("{:.0}", weights / f64::from(1 << 20)),
                ms(weights / speed),
                ms(token),
                ms(of(&course.head())),
                ms(of(&course.cold())),
                ms(of(&course.prefill(course.scores))),
                ms(of(&course.tree())),
                ms(of(&course.warm()) - of(&course.tree())),
            ];
            println!("| {} | {} |", player.name, cells.join(" | "));
        }
        println!();
    }

    fn print_bounds(&self, course: &Course) {
        let best = |players: &[&'static str], question: &str| {
            let quicker = |&&name: &&&'static str| self.quartile(name, question);
            let best = players
                .iter()
                .min_by(|a, b| quicker(a).total_cmp(&quicker(b)));
            best.map_or("", |name| *name)
        };
        let titles = [&[GENAI], &LLAMA[..]].concat();
        let decode = [&[GENAI, GENAI_LAST], &LLAMA[..]].concat();
        println!("| what | found | bound | |\n|---|---|---|---|");
        let kept = |is: bool| if is { "kept" } else { "**missed**" };
        let times = |what: &str,
                     ours: &'static str,
                     theirs: &[&'static str],
                     question: &str,
                     least: f64| {
            let theirs = best(theirs, question);
            let gain = self.against((theirs, question), (ours, question));
            println!(
                "| {what}: {ours} against {theirs} | {gain:.2} times as quick | at least {least} | {} |",
                kept(gain >= least)
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
        times("decode", INT4, &decode, &course.decode(), 1.0);
        let cold = course.cold();
        let ours = best(&[INT8, INT4], &cold);
        times("titles, cold", ours, &titles, &cold, 1.5);
        let share = self.against((ours, &cold), (ours, &course.prefill(course.scores)));
        println!(
            "| titles, cold: {ours} against its own prefill of {} | {share:.2} times its time | at most 1.6 | {} |",
            course.scores,
            kept(share <= 1.6)
        );
        if course.is_large {
            let (open, _) = self.of(INT4, "open").unwrap_or((f64::NAN, f64::NAN));
            println!(
                "| open: {INT4} | {:.0} ms | at most 500 | {} |",
                open / 1e6,
                kept(open <= 5e8)
            );
            let share = self.against((INT4, "private, opened"), (INT4, "files"));
            println!(
                "| private once it is open: {INT4} | {share:.2} of its files | at most 0.25 | {} |",
                kept(share <= 0.25)
            );
        }
        println!();
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
