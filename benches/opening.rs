//! What opening costs: time and private memory for bundles of 10k and of 1M items, rows of the demo's width.
//!
//! `cargo bench --bench opening`. Each figure comes from a process of its own, which opens the bundle 41 times and
//! reads `/proc/self/smaps_rollup` (Linux; elsewhere only the times are printed) before and after the first.

mod made_up;

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use oneiro::{Bundle, Engine, EngineOptions};

const SIZES: [(&str, usize); 2] = [("10k", 10_000), ("1M", 1_000_000)];

type Anything<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Anything<()> {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("measure") => measure(Path::new(&arguments.next().ok_or("measure FOLDER")?)),
        _ => compare(),
    }
}

/// Opens the bundle and prints: median time of the bundle, of bundle and engine, in µs; growth of private memory in KiB.
fn measure(folder: &Path) -> Anything<()> {
    let warm_up = Engine::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tiny"))?;
    let before = private_kib();
    let first = Engine::open(folder)?;
    let after = private_kib();
    let (mut bundles, mut engines) = (Vec::new(), Vec::new());
    for _ in 0..41 {
        let started = Instant::now();
        let bundle = Bundle::open(folder)?;
        bundles.push(started.elapsed().as_secs_f64() * 1e6);
        let engine = Engine::from_bundle(bundle, &EngineOptions::default())?;
        engines.push(started.elapsed().as_secs_f64() * 1e6);
        drop(engine);
    }
    let growth = before
        .zip(after)
        .map_or(-1, |(before, after)| after - before);
    println!("{} {} {growth}", median(&mut bundles), median(&mut engines));
    drop((first, warm_up));
    Ok(())
}

fn compare() -> Anything<()> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("opening");
    println!("items   open bundle    open engine    private memory");
    let mut figures = Vec::new();
    for (name, items) in SIZES {
        let bundle = folder.join(name);
        made_up::write(&demo, &bundle, items, "f32")?;
        let output = Command::new(env::current_exe()?)
            .arg("measure")
            .arg(&bundle)
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<f64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [bundle, engine, kib] = numbers[..] else {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        };
        println!("{name:>5} {bundle:>10.0} µs  {engine:>10.0} µs  {kib:>10.0} KiB");
        figures.push((bundle, engine, kib));
    }
    let (small, large) = (figures[0], figures[1]);
    println!(
        "1M/10k {:>9.2} x   {:>10.2} x   {:>+10.0} KiB",
        large.0 / small.0,
        large.1 / small.1,
        large.2 - small.2
    );
    std::fs::remove_dir_all(folder)?;
    let slower = large.0 >= 3.0 * small.0 || large.1 >= 3.0 * small.1;
    if slower || large.2 - small.2 >= 1024.0 {
        return Err("opening depends on the number of items: 3x the time or 1 MiB more".into());
    }
    Ok(())
}

/// Private memory that is not a clean page of a file, in KiB.
fn private_kib() -> Option<i64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
