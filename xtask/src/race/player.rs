//! Who runs, and a player that is running.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use crate::error::{Error, Result, While};
use crate::process;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Player {
    /// oneiro's C ABI, over rows of this type; `exact` is i8 with the f32 rows beside them.
    Oneiro(&'static str),
    /// C against ONNX Runtime's C API.
    ByHand,
    /// Python: onnxruntime and numpy.
    Numpy,
    /// The same with faiss for the scan: IndexFlatIP.
    Flat,
    /// IndexScalarQuantizer, 8 bits.
    Sq8,
}

impl Player {
    pub fn name(self) -> String {
        match self {
            Self::Oneiro("exact") => "oneiro i8, exact".into(),
            Self::Oneiro(dtype) => format!("oneiro {dtype}"),
            Self::ByHand => "C by hand".into(),
            Self::Numpy => "Python, numpy".into(),
            Self::Flat => "faiss Flat".into(),
            Self::Sq8 => "faiss SQ8".into(),
        }
    }

    pub fn program(self) -> &'static str {
        match self {
            Self::Oneiro(_) => "oneiro",
            _ => "by_hand",
        }
    }

    /// What the script in Python is told to be.
    pub fn script(self) -> Option<&'static str> {
        match self {
            Self::Oneiro(_) | Self::ByHand => None,
            Self::Numpy => Some("numpy"),
            Self::Flat => Some("flat"),
            Self::Sq8 => Some("sq8"),
        }
    }

    /// How the rows are stored that it opens.
    pub fn dtype(self) -> &'static str {
        match self {
            Self::Oneiro(dtype) => dtype,
            _ => "f32",
        }
    }

    /// Whether its rankings are those of the f32 rows.
    pub fn is_exact(self) -> bool {
        !matches!(self, Self::Oneiro("f16" | "i8") | Self::Sq8)
    }
}

/// A player that has recommended once and waits for questions.
pub struct Running {
    pub player: Player,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// From the start of the process to its first recommendation, in ns.
    pub started: f64,
}

impl Running {
    pub fn start(player: Player, mut command: Command) -> Result<Self> {
        let line = process::line(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let begin = Instant::now();
        let mut child = command.spawn().while_doing(|| format!("run `{line}`"))?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new(format!("`{line}` has no pipes")));
        };
        let mut running = Self {
            player,
            child,
            questions,
            answers: BufReader::new(answers),
            started: 0.0,
        };
        let ready = running.line()?;
        running.started = begin.elapsed().as_secs_f64() * 1e9;
        match ready.as_str() {
            "ready" => Ok(running),
            other => Err(Error::new(format!("`{line}` said `{other}`"))),
        }
    }

    /// Does something so many times and gives back the times, in ns.
    pub fn times(&mut self, verb: &str, count: usize) -> Result<Vec<f64>> {
        self.ask(&format!("{verb} {count}"))?;
        let line = self.line()?;
        let times: Vec<f64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match times.len() == count {
            true => Ok(times),
            false => Err(self.wrong(&line)),
        }
    }

    /// The rankings of so many users: items and scores, best first.
    pub fn rankings(&mut self, verb: &str, users: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        self.ask(&format!("answers {verb}"))?;
        let mut rankings = Vec::new();
        for _ in 0..users {
            let line = self.line()?;
            let pair = |word: &str| {
                let (item, score) = word.split_once(':')?;
                Some((item.parse().ok()?, score.parse().ok()?))
            };
            let ranking: Option<Vec<_>> = line.split_whitespace().map(pair).collect();
            rankings.push(ranking.ok_or_else(|| self.wrong(&line))?);
        }
        Ok(rankings)
    }

    fn ask(&mut self, question: &str) -> Result<()> {
        let name = self.player.name();
        writeln!(self.questions, "{question}").while_doing(|| format!("ask {name}"))
    }

    fn line(&mut self) -> Result<String> {
        let name = self.player.name();
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .while_doing(|| format!("hear {name}"))?;
        match line.is_empty() {
            true => Err(Error::new(format!("{name} has ended"))),
            false => Ok(line.trim_end().to_owned()),
        }
    }

    fn wrong(&self, line: &str) -> Error {
        Error::new(format!("{} answered `{line}`", self.player.name()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
