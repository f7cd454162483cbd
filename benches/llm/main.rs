//! The race of language models: reading, writing and scoring titles, against what one would use instead.
//!
//! `cargo bench --bench llm -- --python PYTHON --data FOLDER [--only qwen|small] [--heats N] [--turns N] [--times]`,
//! with what `make.py` put into the folder and a Python with the packages of `requirements.lock`; `--times`: nothing is
//! compared. `cargo xtask llm` makes both, and a page of what is found. `--quick` needs neither: our own player alone, on
//! the tests' model.
//!
//! Everybody is a process with two threads, and has the same weights. Before any time counts, the logits and scores of all
//! are compared with those of the transformers library; then they are asked in turn, a call each.

#![allow(missing_docs, reason = "a program")]

mod compared;
mod figures;
mod ours;
mod player;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compared::Answers;
use figures::Figures;
use player::{Kind, PLAYERS, Player, Running};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const THREADS: usize = 2;
/// How many titles are scored together.
const TITLES: usize = 20;
/// Memory that is read once, in MiB.
const BANDWIDTH: &str = "bandwidth 512 1";
const BANDWIDTH_BYTES: f64 = (512 << 20) as f64;
/// As much as this nobody's threads spin.
const REST: Duration = Duration::from_millis(50);

/// What is asked, in rows and tokens.
struct Course {
    name: &'static str,
    about: &'static str,
    prefill: &'static [usize],
    /// Rows before what is written, and how many tokens that is.
    decode: (usize, usize),
    /// Rows before titles.
    scores: usize,
    logits: usize,
    heats: usize,
    turns: usize,
    /// Whether it is held to what is asked of a model that barely fits.
    is_large: bool,
}

const COURSES: [Course; 2] = [
    Course {
        name: "qwen",
        about: "Qwen2.5-0.5B: 24 layers, width 896, 151936 tokens",
        prefill: &[256, 512],
        decode: (256, 32),
        scores: 400,
        logits: 32,
        heats: 2,
        turns: 3,
        is_large: true,
    },
    Course {
        name: "small",
        about: "small: 8 layers, width 512, 16384 tokens",
        prefill: &[256, 512],
        decode: (256, 128),
        scores: 400,
        logits: 32,
        heats: 3,
        turns: 8,
        is_large: false,
    },
];
const QUICK: Course = Course {
    name: "quick",
    about: "models/tiny-lm",
    prefill: &[32],
    decode: (32, 8),
    scores: 32,
    logits: 8,
    heats: 1,
    turns: 1,
    is_large: false,
};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [play, folder, threads] = words.as_slice()
        && play == "play"
    {
        return ours::play(Path::new(folder), threads.parse()?);
    }
    let mut words = words.iter().filter(|word| *word != "--bench");
    let (mut python, mut data, mut only) = (None, None, None);
    let (mut heats, mut turns, mut times_only) = (None, None, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("which {word}?"));
        match word.as_str() {
            "--python" => python = Some(PathBuf::from(value()?)),
            "--data" => data = Some(PathBuf::from(value()?)),
            "--only" => only = Some(value()?),
            "--heats" => heats = Some(value()?.parse()?),
            "--turns" => turns = Some(value()?.parse()?),
            "--times" => times_only = true,
            "--quick" => return quick(),
            other => return Err(format!("what is `{other}`?").into()),
        }
    }
    let (python, data) = python.zip(data).ok_or("which --python and --data?")?;
    for mut course in COURSES {
        if only.is_none_or(|only| only == course.name) {
            course.heats = heats.unwrap_or(course.heats);
            course.turns = turns.unwrap_or(course.turns);
            let folder = data.join(course.name);
            println!("## {}\n", course.about);
            if !times_only {
                course.compare(&python, &folder)?;
            }
            course.race(&python, &folder, &PLAYERS)?.print(&course);
        }
    }
    Ok(())
}

/// That the race can be run, and that what was read before changes no score.
fn quick() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tiny-lm");
    let tiny = Player::new("oneiro, tiny", Kind::Oneiro, "", 1e-5);
    let mut running = Running::start(&tiny, Path::new(""), &folder)?;
    let cold = Answers::of(&mut running, &QUICK)?;
    compared::print_head();
    Answers::of(&mut running, &QUICK)?.compare(&cold, &tiny)?;
    println!();
    QUICK.race(Path::new(""), &folder, &[tiny])?.print(&QUICK);
    Ok(())
}

impl Course {
    /// One after the other: all in f32 take 10 GB.
    fn compare(&self, python: &Path, folder: &Path) -> Result<()> {
        let expected = Answers::read(&fs::read_to_string(folder.join("expected.txt"))?)?;
        compared::print_head();
        let mut titles = None;
        for player in &PLAYERS {
            if player.scores() {
                let mut running = Running::start(player, python, folder)?;
                running.tell_titles(player, &mut titles)?;
                Answers::of(&mut running, self)?.compare(&expected, player)?;
            }
        }
        println!();
        Ok(())
    }

    fn race(&self, python: &Path, folder: &Path, players: &[Player]) -> Result<Figures> {
        let players: Vec<_> = players.iter().filter(|player| !player.is_exact()).collect();
        let mut figures = Figures::default();
        for heat in 0..self.heats {
            let (mut running, mut titles) = (Vec::new(), None);
            for player in &players {
                running.push(Running::start(player, python, folder)?);
            }
            for (player, running) in players.iter().zip(&mut running) {
                figures.add(player, "open", running.opened);
                let private = running.numbers("memory")?[0];
                figures.add(player, "private, opened", private);
                running.tell_titles(player, &mut titles)?;
            }
            // Who is asked for the first time has memory to find, and ways to try.
            for (player, running) in players.iter().zip(&mut running) {
                let questions = self.questions(player);
                for question in questions.first().into_iter().chain(questions.last()) {
                    running.time(question)?;
                }
            }
            for turn in 0..self.turns {
                for place in 0..players.len() {
                    let place = (place + turn + heat) % players.len();
                    let player = players[place];
                    for question in self.questions(player) {
                        std::thread::sleep(REST);
                        figures.add(player, &question, running[place].time(&question)?);
                    }
                }
            }
            for (player, running) in players.iter().zip(&mut running) {
                let memory = running.numbers("memory")?;
                figures.add(player, "private", memory[0]);
                figures.add(player, "shared", memory[1]);
                let file = folder.join(player.file);
                figures.add(player, "files", bytes(&file, &|_| true)?);
                let weights = bytes(&file, &|name| name.ends_with(".weights"))?;
                figures.add(player, "weights", weights);
            }
        }
        Ok(figures)
    }

    fn questions(&self, player: &Player) -> Vec<String> {
        let mut questions: Vec<_> = self
            .prefill
            .iter()
            .map(|rows| self.prefill(*rows))
            .collect();
        // Of ours it is shown where the time goes.
        let ours = player.kind == Kind::Oneiro;
        questions.extend(ours.then(|| self.prefill(self.scores)));
        questions.push(self.decode());
        questions.extend(
            ours.then(|| [BANDWIDTH.into(), self.head(), self.tree()])
                .into_iter()
                .flatten(),
        );
        if player.scores() {
            questions.extend([self.cold(), self.warm()]);
        }
        questions
    }

    /// The head alone, for one row.
    fn head(&self) -> String {
        format!("head {} 1", self.decode.0)
    }

    /// Titles whose tokens compete with each other only.
    fn tree(&self) -> String {
        format!("tree {} 1", self.scores)
    }

    fn prefill(&self, rows: usize) -> String {
        format!("prefill {rows} 1")
    }

    fn decode(&self) -> String {
        format!("decode {} {} 1", self.decode.0, self.decode.1)
    }

    fn cold(&self) -> String {
        format!("cold {} 1", self.scores)
    }

    fn warm(&self) -> String {
        format!("warm {} 1", self.scores)
    }
}

/// Of a file, or of those files in a folder whose names are wanted.
fn bytes(path: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<f64> {
    if path.is_dir() {
        let entries = fs::read_dir(path)?;
        return entries.map(|entry| bytes(&entry?.path(), wanted)).sum();
    }
    let name = path.file_name().and_then(|name| name.to_str());
    match name.is_some_and(wanted) {
        true => Ok(fs::metadata(path)?.len() as f64),
        false => Ok(0.0),
    }
}
