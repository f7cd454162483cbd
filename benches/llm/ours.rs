//! Our own player: a process, too, so that its memory is its own. `peer.py` says what is asked.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use oneiro::{
    Among, Bundle, Cancel, Engine, EngineOptions, GenerateOptions, LanguageModel, Prompt,
    ScoreOptions, runtime,
};

use super::{Result, TITLES};

/// Tokens that no prompt has.
const SPECIAL: u64 = 4;

struct Ours {
    model: LanguageModel,
    vocabulary: u64,
    /// In sets of so many as are scored together.
    titles: Vec<String>,
    threads: usize,
    calls: usize,
}

/// Answers the lines that come.
pub(super) fn play(folder: &Path, threads: usize) -> Result<()> {
    // Not part of opening.
    runtime::load(std::env::var_os("ORT_DYLIB_PATH").ok_or("where is ONNX Runtime?")?)?;
    let started = Instant::now();
    let mut player = Ours::open(folder, threads)?;
    println!("{}", started.elapsed().as_nanos());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, numbers) = words.split_first().ok_or("an empty line")?;
        let numbers: Vec<usize> = numbers
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, _>>()?;
        println!("{}", player.answer(verb, &numbers)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

impl Ours {
    /// Until it has read a first row.
    fn open(folder: &Path, threads: usize) -> Result<Self> {
        let mut options = EngineOptions::default();
        options.graph.threads = threads;
        let engine = Engine::from_bundle(Bundle::open(folder)?, &options)?;
        let mut model = engine.language_model(None)?;
        let first = Prompt::new().token(SPECIAL as u32);
        let vocabulary = model.logits(&first, &Cancel::new())?.len() as u64;
        let catalog = engine.catalog();
        let title = |item| {
            Ok(catalog
                .title(item)?
                .ok_or("an item without a title")?
                .into())
        };
        Ok(Self {
            titles: (0..catalog.len()).map(title).collect::<Result<_>>()?,
            model,
            vocabulary,
            threads,
            calls: 0,
        })
    }

    fn answer(&mut self, verb: &str, numbers: &[usize]) -> Result<String> {
        match (verb, numbers) {
            ("tokens", []) => {
                let tokens = |title: &String| Ok(shown(self.model.encode(title)?));
                let titles: Vec<_> = self.titles.iter().map(tokens).collect::<Result<_>>()?;
                Ok(titles.join(" | "))
            }
            ("logits", &[rows]) => {
                let prompt = self.prompt(0, rows);
                Ok(shown(self.model.logits(&prompt, &Cancel::new())?))
            }
            ("scores", &[rows]) => {
                let prompt = self.prompt(0, rows);
                Ok(shown(self.score(&prompt, 0, Among::Vocabulary)?))
            }
            ("memory", []) => Ok(shown(memory()?)),
            (_, &[.., count]) => {
                let times = (0..count).map(|_| self.time(verb, numbers));
                Ok(shown(times.collect::<Result<Vec<_>>>()?))
            }
            _ => Err(format!("what is `{verb}`?").into()),
        }
    }

    /// The time of one call, in ns.
    fn time(&mut self, verb: &str, numbers: &[usize]) -> Result<u128> {
        self.calls += 1;
        let cancel = Cancel::new();
        if let ("bandwidth", &[mib, _]) = (verb, numbers) {
            return Ok(reading(mib << 20, self.threads));
        }
        let other = self.prompt(self.calls, numbers[0]);
        let started;
        match (verb, numbers) {
            ("prefill", [_, _]) => {
                started = Instant::now();
                self.model.logits(&other, &cancel)?;
            }
            ("decode", &[_, tokens, _]) => {
                self.model.logits(&other, &cancel)?;
                let mut options = GenerateOptions::default();
                // The first is there already, but for the head.
                options.tokens = tokens + 1;
                started = Instant::now();
                let written = self.model.generate(&other, &options, &mut |_| ())?;
                if written.tokens.len() <= tokens {
                    return Err("the text ended".into());
                }
            }
            ("head", [_, _]) => {
                self.model.logits(&other, &cancel)?;
                started = Instant::now();
                self.model.logits(&other, &cancel)?;
            }
            ("cold", [_, _]) => {
                started = Instant::now();
                self.score(&other, self.calls, Among::Vocabulary)?;
            }
            ("warm" | "tree", &[rows, _]) => {
                let same = self.prompt(0, rows);
                self.model.logits(&same, &cancel)?;
                let among = match verb {
                    "tree" => Among::Titles,
                    _ => Among::Vocabulary,
                };
                started = Instant::now();
                self.score(&same, self.calls, among)?;
            }
            _ => return Err(format!("what is `{verb}`?").into()),
        }
        Ok(started.elapsed().as_nanos())
    }

    /// As in `peer.py`; no two begin alike.
    fn prompt(&self, number: usize, rows: usize) -> Prompt {
        let token = |place: u64| {
            SPECIAL
                + (number as u64 * 977 + place * (place + 31) * 13) % (self.vocabulary - SPECIAL)
        };
        let tokens = (0..rows as u64).map(token);
        tokens.fold(Prompt::new(), |prompt, token| prompt.token(token as u32))
    }

    fn score(&mut self, prompt: &Prompt, set: usize, among: Among) -> Result<Vec<f32>> {
        let sets = self.titles.len() / TITLES;
        let titles = &self.titles[set % sets * TITLES..][..TITLES];
        let mut options = ScoreOptions::default();
        options.among = among;
        Ok(self.model.score(prompt, titles, &options)?)
    }
}

/// How long it takes threads to read so many bytes from memory once, in ns.
fn reading(bytes: usize, threads: usize) -> u128 {
    let words = vec![1_u64; bytes / size_of::<u64>()];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in words.chunks(words.len().div_ceil(threads)) {
            scope.spawn(move || black_box(part.iter().fold(0_u64, |sum, &word| sum ^ word)));
        }
    });
    started.elapsed().as_nanos()
}

fn shown<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    words.join(" ")
}

/// Anonymous pages, and those of files, which other processes can share, in bytes.
fn memory() -> Result<[usize; 2]> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let bytes = |name: &str| -> Result<usize> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
        Ok(kib.ok_or("no such line")?.trim().parse::<usize>()? * 1024)
    };
    let private = bytes("Anonymous:")?;
    Ok([private, bytes("Rss:")? - private])
}
