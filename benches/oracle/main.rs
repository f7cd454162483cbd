//! The race of oracles: from a history to the best 100, by every way of sampling and by what one would write instead.
//!
//! `cargo bench --bench oracle -- --python PYTHON [--only zhihu|yoochoose] [--users 1|256] [--quick]`, with a Python that
//! has what `models/oneiro_models` needs. `cargo xtask oracle` makes a page of it.
//!
//! The peers in `peer.py` are a plain PyTorch sampler and onnxruntime in a loop; everybody has one thread, is asked in
//! turn, a few calls each, and ranks the same catalogs: DreamRec's Zhihu and YooChoose by their size, steps, schedule and
//! guidance, with untrained weights. Before any time counts, the chains' best items are compared under the same noise.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use oneiro::{By, CallOptions, Engine, Filter, Recommender, Sampler};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Name, items, steps, schedule, guidance.
const CATALOGS: [(&str, u32, u32, &str, &str); 2] = [
    ("zhihu", 4838, 500, "linear", "4"),
    ("yoochoose", 9514, 500, "exp", "2"),
];
const COUNT: usize = 100;
const WINDOW: usize = 10;
const SEED: u64 = 7;
/// How many of the first items of a ranking must be the peers': further down, rounding may swap them.
const COMPARED: usize = 10;

/// Our ways, by oracle.
const OURS: [(&str, &str, Sampler, Option<usize>); 6] = [
    ("affine", "collapsed", Sampler::Collapsed, None),
    ("affine", "recurrence", Sampler::Chain, None),
    ("affine", "graph", Sampler::Graph, None),
    ("affine", "50 steps", Sampler::Chain, Some(50)),
    ("mlp2", "graph", Sampler::Graph, None),
    ("mlp2", "50 steps", Sampler::Graph, Some(50)),
];
const PEERS: [&str; 2] = ["torch", "onnxruntime"];

/// What is to be so many times as quick as what: users, oracle, our way, the peer, times.
const BOUNDS: [(usize, &str, &str, &str, f64); 5] = [
    (1, "affine", "graph", "onnxruntime", 3.0),
    (1, "mlp2", "graph", "onnxruntime", 3.0),
    (1, "affine", "recurrence", "onnxruntime", 20.0),
    (1, "affine", "collapsed", "torch", 100.0),
    (256, "affine", "collapsed", "torch", 15.0),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words = words.iter().filter(|word| *word != "--bench");
    let (mut python, mut only, mut turns) = (None, None, vec![(1, 40), (256, 15)]);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--python" => python = words.next(),
            "--only" => only = words.next(),
            "--users" => {
                let wanted: usize = words.next().ok_or("how many --users?")?.parse()?;
                turns.retain(|(users, _)| *users == wanted);
            }
            "--quick" => turns.iter_mut().for_each(|(_, turns)| *turns = 1),
            other => return Err(format!("what is `{other}`?").into()),
        }
    }
    let python = Path::new(python.ok_or("which --python?")?);
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    for (name, items, steps, schedule, guidance) in CATALOGS {
        if !wanted(name) {
            continue;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{name}"));
        if !folder.join("manifest.json").is_file() {
            let mut make = peer(python);
            make.arg("make").arg(&folder);
            make.args([&items.to_string(), &steps.to_string(), schedule, guidance]);
            if !make.status()?.success() {
                return Err("the bundle could not be made".into());
            }
        }
        println!("## {name}: {items} items, {steps} steps, {schedule}\n");
        race(python, &folder, &turns)?;
    }
    Ok(())
}

fn race(python: &Path, folder: &PathBuf, turns: &[(usize, usize)]) -> Result<()> {
    let engine = Engine::open(folder)?;
    let mut peers = BTreeMap::new();
    for oracle in ["affine", "mlp2"] {
        for name in PEERS {
            let mut command = peer(python);
            command.arg(name).arg(folder).arg(oracle);
            peers.insert((oracle, name), Peer::start(&mut command)?);
        }
    }
    for oracle in ["affine", "mlp2"] {
        let expected = ours(&engine, oracle, Sampler::Chain, None, 3)?.1;
        for name in PEERS {
            let found = peers
                .get_mut(&(oracle, name))
                .ok_or("no peer")?
                .answers(3)?;
            for (expected, found) in expected.iter().zip(&found) {
                if expected[..COMPARED] != found[..COMPARED] {
                    return Err(format!("{oracle} by {name}: {found:?}, ours {expected:?}").into());
                }
            }
        }
    }
    println!("| users | denoiser | way | ms |\n|---|---|---|---|");
    let mut bounds = Vec::new();
    for &(users, turns) in turns {
        // By way and turn.
        let mut times: BTreeMap<(&str, &str), Vec<Vec<f64>>> = BTreeMap::new();
        for turn in 0..=turns {
            for (oracle, way, sampler, steps) in OURS {
                let calls = if users == 1 { 5 } else { 1 };
                let found = (0..calls)
                    .map(|_| Ok(ours(&engine, oracle, sampler, steps, users)?.0))
                    .collect::<Result<Vec<f64>>>()?;
                times.entry((oracle, way)).or_default().push(found);
            }
            for ((oracle, name), peer) in &mut peers {
                let found = peer.times(users, 1)?;
                times.entry((oracle, name)).or_default().push(found);
            }
            // The first turn warms up.
            if turn == 0 {
                times.clear();
            }
        }
        for ((oracle, way), turns) in &times {
            let all = turns.concat();
            let [quartile, most] = [0.25, 0.9].map(|share| quantile(&all, share) / 1e6);
            println!("| {users} | {oracle} | {way} | {quartile:.3} ({most:.3}) |");
        }
        for (of, oracle, way, peer, bound) in BOUNDS {
            if of == users {
                // Turn by turn: whatever else goes on in the machine falls on both of a turn.
                let turns = times[&(oracle, peer)].iter().zip(&times[&(oracle, way)]);
                let gains: Vec<f64> = turns
                    .map(|(peer, own)| quantile(peer, 0.25) / quantile(own, 0.25))
                    .collect();
                let gain = quantile(&gains, 0.5);
                let kept = if gain >= bound { "kept" } else { "missed" };
                let users = format!("{users} user{}", if users == 1 { "" } else { "s" });
                let what = format!("{users}, {oracle}, {way} against {peer}");
                bounds.push(format!(
                    "| {what} | {gain:.1} times as quick | at least {bound} | {kept} |"
                ));
            }
        }
    }
    println!(
        "\n| what | found | bound | |\n|---|---|---|---|\n{}\n",
        bounds.join("\n")
    );
    Ok(())
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The time in ns of one call for so many users, and the best items of each.
fn ours(
    engine: &Engine,
    oracle: &str,
    sampler: Sampler,
    steps: Option<usize>,
    users: usize,
) -> Result<(f64, Vec<Vec<u32>>)> {
    let mut options = CallOptions::default();
    options.oracle.name = Some(oracle.into());
    options.oracle.sampler = sampler;
    options.oracle.steps = steps;
    options.oracle.seed = SEED;
    let filter = Filter::default();
    let histories: Vec<Vec<u32>> = (0..users).map(|user| history(user, engine)).collect();
    let started = Instant::now();
    let mut users: Vec<Recommender> = histories.iter().map(|_| engine.recommender()).collect();
    for (user, history) in users.iter_mut().zip(&histories) {
        user.observe_items(history)?;
    }
    let rankings = match users.as_mut_slice() {
        [user] => vec![user.retrieve_with(By::Oracle, COUNT, &filter, &options)?],
        users => engine.retrieve_batch(users, By::Oracle, COUNT, &filter, &options)?,
    };
    let time = started.elapsed().as_nanos() as f64;
    let items = rankings.iter().map(|ranking| ranking.items().to_vec());
    Ok((time, items.collect()))
}

/// As in `peer.py`.
fn history(user: usize, engine: &Engine) -> Vec<u32> {
    let items = engine.catalog().len() as usize;
    let item = |place: usize| ((user * 97 + place * (place + 31) * 13) % items) as u32;
    (0..=user * 7 % WINDOW).map(item).collect()
}

fn peer(python: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(root.join("benches/oracle/peer.py"));
    if std::env::var_os("PYTHONPATH").is_none() {
        command.env("PYTHONPATH", root.join("models/oneiro_models/src"));
    }
    command
}

/// A player in Python that waits for questions.
struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Self {
            child,
            questions,
            answers,
        })
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.questions, "{question}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line)
    }

    fn times(&mut self, users: usize, count: usize) -> Result<Vec<f64>> {
        let line = self.ask(&format!("dream {users} {count}"))?;
        let times: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        match times.len() == count {
            true => Ok(times),
            false => Err("a peer has ended".into()),
        }
    }

    fn answers(&mut self, users: usize) -> Result<Vec<Vec<u32>>> {
        let line = self.ask(&format!("answers {users}"))?;
        let items = |row: &str| row.split_whitespace().map(str::parse).collect();
        Ok(line
            .trim_end()
            .split(" | ")
            .map(items)
            .collect::<Result<_, _>>()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
