//! What a batch saves: users a second, one by one and in batches of 1, 8 and 64, on the demo and on 100k made-up items.
//!
//! `cargo bench --bench batch`. One thread. Every round asks for the same 64 users, with histories of 1 to 50 items and
//! no state yet, in each of the ways, one after the other; the figures are medians over the rounds. The last column is
//! the part of a batch's time that went to the encoder.

mod made_up;

use std::path::Path;
use std::time::{Duration, Instant};

use oneiro::{CallOptions, Engine, Filter, Ranking, Recommender};

const USERS: usize = 64;
const ROUNDS: usize = 15;
const COUNT: usize = 10;
const BATCHES: [usize; 3] = [1, 8, 64];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch");
    made_up::write(&demo, &folder, 100_000, "f32")?;
    println!("items    one by one    batches of    users/s    gain    encoding");
    for bundle in [&demo, &folder] {
        measure(&Engine::open(bundle)?)?;
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn measure(engine: &Engine) -> oneiro::Result<()> {
    let (filter, options) = (Filter::default(), CallOptions::default());
    let len = engine.catalog().len();
    let mut users = vec![engine.recommender(); USERS];
    for (number, user) in (0..).zip(&mut users) {
        let items: Vec<u32> = (0..1 + number * 13 % 50)
            .map(|place| (number * 97 + place * place * 31) % len)
            .collect();
        user.observe_items(&items)?;
    }
    let mut alone = Vec::new();
    let mut batched = BATCHES.map(|_| Vec::new());
    let mut encoding = BATCHES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        let mut fresh: Vec<Recommender> = users.clone();
        let started = Instant::now();
        for user in &mut fresh {
            user.recommend_with(COUNT, &filter, &options)?;
        }
        alone.push(started.elapsed().as_secs_f64());
        for (way, batch) in BATCHES.into_iter().enumerate() {
            let mut fresh = users.clone();
            let started = Instant::now();
            let mut encoded = Duration::ZERO;
            for users in fresh.chunks_mut(batch) {
                let rankings = engine.recommend_batch(users, COUNT, &filter, &options)?;
                encoded += rankings.first().map_or(Duration::ZERO, encoder_time);
            }
            let seconds = started.elapsed().as_secs_f64();
            batched[way].push(seconds);
            encoding[way].push(encoded.as_secs_f64() / seconds);
        }
    }
    let alone = median(&mut alone);
    for (way, batch) in BATCHES.into_iter().enumerate() {
        let seconds = median(&mut batched[way]);
        println!(
            "{len:>6}   {:>10.0}    {batch:>10}    {:>7.0}   {:>4.2} x   {:>6.0} %",
            USERS as f64 / alone,
            USERS as f64 / seconds,
            alone / seconds,
            100.0 * median(&mut encoding[way]),
        );
    }
    Ok(())
}

fn encoder_time(ranking: &Ranking) -> Duration {
    let stages = ranking.stages().iter();
    stages
        .filter(|stage| stage.name.starts_with("encode"))
        .map(|stage| stage.time)
        .sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
