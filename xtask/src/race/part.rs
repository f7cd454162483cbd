//! The parts of the race: what is asked of whom, and how often.

use super::course::{Course, USERS};
use super::figures::{Figure, Figures};
use super::player::{Player, Running};
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// From the start of the process to the first recommendation.
    Start,
    /// One user: a history of 50 in, the best 100 out.
    One,
    /// The scan of that alone.
    Scan,
    /// 64 users at once.
    Many,
}

pub const PARTS: [Part; 4] = [Part::Start, Part::One, Part::Scan, Part::Many];

/// How often everybody starts anew: where memory happens to lie shall not decide.
const HEATS: usize = 3;
const STARTS: usize = 180;

const ONEIRO: [Player; 4] = [
    Player::Oneiro("f32"),
    Player::Oneiro("exact"),
    Player::Oneiro("f16"),
    Player::Oneiro("i8"),
];

impl Part {
    pub fn parse(word: &str) -> Result<Self> {
        let known = PARTS.map(Self::word);
        PARTS
            .into_iter()
            .find(|part| part.word() == word)
            .ok_or_else(|| Error::new(format!("--only takes one of: {}", known.join(" "))))
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::One => "one",
            Self::Scan => "scan",
            Self::Many => "many",
        }
    }

    /// A start is one of a small catalog: opening does not depend on its size.
    pub fn sizes(self, chosen: &[usize]) -> &[usize] {
        match self {
            Self::Start => &[10_000],
            _ => chosen,
        }
    }

    pub fn threads(self, chosen: &[usize]) -> &[usize] {
        match self {
            Self::Start => &[1],
            _ => chosen,
        }
    }

    /// Who takes part, and by which way.
    fn runners(self) -> Vec<(Player, &'static str)> {
        use Player::{ByHand, Flat, Numpy, Oneiro, Sq8};
        match self {
            Self::Start => [Oneiro("f32"), ByHand, Numpy]
                .map(|player| (player, ""))
                .into(),
            Self::One => [&ONEIRO[..], &[ByHand, Numpy]]
                .concat()
                .into_iter()
                .map(|player| (player, "one"))
                .collect(),
            Self::Scan => [&ONEIRO[..], &[ByHand, Numpy, Flat, Sq8]]
                .concat()
                .into_iter()
                .map(|player| (player, "scan"))
                .collect(),
            Self::Many => vec![
                (Oneiro("f32"), "many"),
                (Oneiro("exact"), "many"),
                (ByHand, "many"),
                (ByHand, "graph"),
                (Numpy, "many"),
                (Flat, "many"),
            ],
        }
    }

    pub fn run(
        self,
        course: &Course,
        items: usize,
        threads: usize,
        quick: bool,
        figures: &mut Figures,
    ) -> Result<()> {
        let mut runners = self.runners();
        runners.retain(|(player, _)| course.admits(*player));
        let mut players: Vec<Player> = runners.iter().map(|(player, _)| *player).collect();
        players.dedup();
        course.lay(items, &players)?;
        eprintln!("race: {}, {items} items, threads: {threads}", self.word());
        // By runner and turn.
        let mut times: Vec<Vec<Vec<f64>>> = vec![Vec::new(); runners.len()];
        let heats = if quick { 1 } else { HEATS };
        if self == Self::Start {
            for turn in 0..if quick { 2 } else { STARTS } {
                for place in order(turn, runners.len()) {
                    let player = runners[place].0;
                    let command = course.command(player, items, threads)?;
                    times[place].push(vec![Running::start(player, command)?.started]);
                }
            }
        } else {
            for heat in 0..heats {
                let mut running = players
                    .iter()
                    .map(|&player| Running::start(player, course.command(player, items, threads)?))
                    .collect::<Result<Vec<_>>>()?;
                if heat == 0 {
                    self.compare(&runners, &mut running)?;
                }
                let (turns, calls) = if quick { (1, 2) } else { self.turns(items) };
                // The first turn warms up.
                for turn in 0..=turns {
                    for place in order(turn, runners.len()) {
                        let (player, verb) = runners[place];
                        let found = of(&mut running, player)?.times(verb, calls)?;
                        if turn > 0 {
                            times[place].push(found);
                        }
                    }
                }
            }
        }
        for ((player, verb), times) in runners.iter().zip(times) {
            figures.put(Figure::new(
                self.word(),
                items,
                threads,
                name(*player, verb),
                times,
            ));
        }
        if self == Self::Scan {
            figures.put_bandwidth(threads, course.bandwidth(threads)?);
        }
        figures.describe(course.workspace());
        Ok(())
    }

    /// How many turns, of how many calls each.
    fn turns(self, items: usize) -> (usize, usize) {
        match (self, items) {
            (Self::Many, ..=10_000) => (8, 3),
            (Self::Many, ..=100_000) => (6, 1),
            (Self::Many, _) => (3, 1),
            (_, ..=10_000) => (20, 20),
            (_, ..=100_000) => (15, 5),
            _ => (10, 4),
        }
    }

    /// Fails unless every exact player ranks as the one in C does.
    fn compare(self, runners: &[(Player, &str)], running: &mut [Running]) -> Result<()> {
        let ask = |verb: &str| {
            if verb == "scan" || verb == "one" {
                ""
            } else {
                verb
            }
            .to_owned()
        };
        let Some(&(first, verb)) = runners.iter().find(|(player, _)| *player == Player::ByHand)
        else {
            return Ok(());
        };
        let expected = of(running, first)?.rankings(&ask(verb), USERS)?;
        for (player, verb) in runners.iter().filter(|(player, _)| player.is_exact()) {
            let found = of(running, *player)?.rankings(&ask(verb), USERS)?;
            for (user, (expected, found)) in expected.iter().zip(&found).enumerate() {
                if !same(expected, found) {
                    return Err(Error::new(format!(
                        "{} ranks otherwise than {} for user {user}:\n{expected:?}\n{found:?}",
                        name(*player, verb),
                        first.name()
                    )));
                }
            }
        }
        Ok(())
    }
}

fn of(running: &mut [Running], player: Player) -> Result<&mut Running> {
    running
        .iter_mut()
        .find(|running| running.player == player)
        .ok_or_else(|| Error::new(format!("{} has not started", player.name())))
}

/// Who is asked when in a turn. Whoever comes after another finds in the caches what that one has left there: so each is
/// first in its own turn, and every other round of turns goes backwards.
fn order(turn: usize, count: usize) -> impl Iterator<Item = usize> {
    let backwards = turn / count % 2 == 1;
    (0..count).map(move |place| match backwards {
        false => (turn + place) % count,
        true => (2 * count - 1 - turn % count - place) % count,
    })
}

fn name(player: Player, verb: &str) -> String {
    match verb {
        "graph" => "ONNX Runtime, MatMul + TopK".into(),
        _ => player.name(),
    }
}

/// Whether two rankings agree: the same scores to 1e-5 of the best, and the same items except among such equals.
fn same(a: &[(u32, f32)], b: &[(u32, f32)]) -> bool {
    let nothing = 1e-5 * a.first().map_or(0.0, |(_, score)| score.abs());
    let close = |x: f32, y: f32| (x - y).abs() <= nothing;
    // The last may tie with one that is left out.
    let ties = |at: usize| {
        at + 1 == a.len() || close(a[at].1, a[at + 1].1) || at > 0 && close(a[at].1, a[at - 1].1)
    };
    let agree = |at: usize| close(a[at].1, b[at].1) && (a[at].0 == b[at].0 || ties(at));
    a.len() == b.len() && (0..a.len()).all(agree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_three_each_comes_after_each_equally_often() {
        let asked: Vec<usize> = (0..12).flat_map(|turn| order(turn, 3)).collect();
        let after = |a: usize, b: usize| {
            let pairs = asked.iter().zip(asked.iter().cycle().skip(1));
            pairs.filter(|&(x, y)| (*x, *y) == (a, b)).count()
        };
        let all = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
        assert_eq!(all.map(|(a, b)| after(a, b)), [6; 6]);
    }

    #[test]
    fn rankings_may_differ_in_ties_only() {
        let ranking = [(1, 2.0), (2, 1.0), (3, 1.0), (4, 0.5)];
        assert!(same(
            &ranking,
            &[(1, 2.000_001), (3, 1.0), (2, 1.0), (5, 0.5)]
        ));
        assert!(!same(&ranking, &[(5, 2.0), (2, 1.0), (3, 1.0), (4, 0.5)]));
        assert!(!same(&ranking, &[(1, 2.0), (2, 1.0), (3, 0.9), (4, 0.5)]));
        assert!(!same(&ranking, &ranking[..3]));
    }
}
