//! Whether all players have the same model: their answers beside those of the transformers library.

use super::player::{Player, Running, numbers};
use super::{Course, Result};

/// What a player says before it runs.
#[derive(Debug, PartialEq)]
pub(super) struct Answers {
    logits: Vec<f64>,
    scores: Vec<f64>,
}

impl Answers {
    /// As `make.py` writes them.
    pub(super) fn read(text: &str) -> Result<Self> {
        let (logits, scores) = text.trim_end().split_once('\n').ok_or("two lines")?;
        Ok(Self {
            logits: numbers(logits)?,
            scores: numbers(scores)?,
        })
    }

    pub(super) fn of(running: &mut Running, course: &Course) -> Result<Self> {
        Ok(Self {
            logits: running.numbers(&format!("logits {}", course.logits))?,
            scores: running.numbers(&format!("scores {}", course.scores))?,
        })
    }

    /// Prints a row; fails if more is lost than may be.
    pub(super) fn compare(&self, expected: &Self, player: &Player) -> Result<()> {
        if self.logits.len() != expected.logits.len() || self.scores.len() != expected.scores.len()
        {
            return Err(format!("{} gives so many numbers: {self:?}", player.name).into());
        }
        let logits = distance(&self.logits, &expected.logits);
        let scores = distance(&self.scores, &expected.scores);
        let order = correlation(&ranks(&self.scores), &ranks(&expected.scores));
        println!(
            "| {} | {logits:.1e} | {scores:.1e} | {order:.3} |",
            player.name
        );
        match logits <= player.loss && scores <= player.loss {
            true => Ok(()),
            false => Err(format!("{} has another model", player.name).into()),
        }
    }
}

pub(super) fn print_head() {
    println!("| | logits | scores | order |\n|---|---|---|---|");
}

/// The root of the mean square of the differences, as a share of the expected numbers' own deviation.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    let mean = expected.iter().sum::<f64>() / expected.len() as f64;
    let squares = |pairs: &mut dyn Iterator<Item = f64>| pairs.map(|x| x * x).sum::<f64>();
    let lost = squares(&mut found.iter().zip(expected).map(|(x, y)| x - y));
    let whole = squares(&mut expected.iter().map(|y| y - mean));
    (lost / whole).sqrt()
}

fn ranks(scores: &[f64]) -> Vec<f64> {
    let rank = |score: &f64| scores.iter().filter(|other| *other > score).count() as f64;
    scores.iter().map(rank).collect()
}

/// Pearson's; of ranks, Spearman's.
fn correlation(xs: &[f64], ys: &[f64]) -> f64 {
    let count = xs.len() as f64;
    let (x, y) = (
        xs.iter().sum::<f64>() / count,
        ys.iter().sum::<f64>() / count,
    );
    let pairs = || xs.iter().zip(ys).map(|(a, b)| (a - x, b - y));
    let both: f64 = pairs().map(|(a, b)| a * b).sum();
    let (of_x, of_y) = pairs().fold((0.0, 0.0), |(s, t), (a, b)| (s + a * a, t + b * b));
    both / (of_x * of_y).sqrt()
}
