//! Who takes part: processes that answer lines.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{Result, THREADS};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Oneiro,
    Genai,
    Llama,
}

pub(super) struct Player {
    pub name: &'static str,
    pub kind: Kind,
    /// Its model among the data.
    pub file: &'static str,
    /// How much of the right numbers its precision may lose, as a share of their deviation.
    pub loss: f64,
}

pub(super) const INT8: &str = "oneiro int8";
pub(super) const INT4: &str = "oneiro int4";
pub(super) const GENAI: &str = "genai int4";
pub(super) const GENAI_LAST: &str = "genai int4, last row";
const Q8_0: &str = "llama.cpp Q8_0";
const Q4_0: &str = "llama.cpp Q4_0";
const Q4_0_PLAIN: &str = "llama.cpp Q4_0, plain";

pub(super) const LLAMA: [&str; 3] = [Q8_0, Q4_0, Q4_0_PLAIN];

/// Of f32, 8 and 4 bits.
const LOSSES: [f64; 3] = [0.01, 0.1, 0.5];

pub(super) const PLAYERS: [Player; 10] = [
    Player::new("oneiro f32", Kind::Oneiro, "oneiro-f32", LOSSES[0]),
    Player::new("genai f32", Kind::Genai, "genai-f32", LOSSES[0]),
    Player::new("llama.cpp f32", Kind::Llama, "llama-f32.gguf", LOSSES[0]),
    Player::new(INT8, Kind::Oneiro, "oneiro-int8", LOSSES[1]),
    Player::new(INT4, Kind::Oneiro, "oneiro-int4", LOSSES[2]),
    Player::new(GENAI, Kind::Genai, "genai-int4", LOSSES[2]),
    Player::new(GENAI_LAST, Kind::Genai, "genai-int4-last", LOSSES[2]),
    Player::new(Q8_0, Kind::Llama, "llama-Q8_0.gguf", LOSSES[1]),
    Player::new(Q4_0, Kind::Llama, "llama-Q4_0.gguf", LOSSES[2]),
    Player::new(Q4_0_PLAIN, Kind::Llama, "llama-Q4_0.gguf", LOSSES[2]),
];

impl Player {
    pub(super) const fn new(name: &'static str, kind: Kind, file: &'static str, loss: f64) -> Self {
        Self {
            name,
            kind,
            file,
            loss,
        }
    }

    /// Only compared: nobody would use it.
    pub(super) fn is_exact(&self) -> bool {
        self.loss == LOSSES[0]
    }

    /// Titles need the logits of every row.
    pub(super) fn scores(&self) -> bool {
        self.name != GENAI_LAST
    }
}

/// A player that waits for questions.
pub(super) struct Running {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// How long that took, in ns.
    pub opened: f64,
}

impl Running {
    pub(super) fn start(player: &Player, python: &Path, data: &Path) -> Result<Self> {
        let file = data.join(player.file);
        let mut command = match player.kind {
            Kind::Oneiro => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("play").arg(file).arg(THREADS.to_string());
                command
            }
            Kind::Genai | Kind::Llama => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/llm/peer.py");
                let genai = player.kind == Kind::Genai;
                let mut command = Command::new(python);
                command.arg(script);
                command.arg(if genai { "genai" } else { "llama" });
                command.arg(file).arg(THREADS.to_string());
                command.args(player.is_exact().then_some("f32"));
                command.args((player.name == Q4_0_PLAIN).then_some("plain"));
                command
            }
        };
        command.env("ORT_DISABLE_TELEMETRY", "1");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut running = Self {
            child,
            questions,
            answers,
            opened: 0.0,
        };
        running.opened = running.line()?.trim().parse()?;
        Ok(running)
    }

    /// Peers are given the tokens of our titles.
    pub(super) fn tell_titles(
        &mut self,
        player: &Player,
        tokens: &mut Option<String>,
    ) -> Result<()> {
        match (player.kind, tokens) {
            (Kind::Oneiro, tokens @ None) => *tokens = Some(self.ask("tokens")?),
            (Kind::Oneiro, Some(_)) => (),
            (_, Some(tokens)) => drop(self.ask(&format!("titles {tokens}"))?),
            (_, None) => return Err("oneiro comes first".into()),
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.questions, "{question}")?;
        Ok(self.line()?.trim_end().into())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("a player has ended".into()),
            _ => Ok(line),
        }
    }

    pub(super) fn numbers(&mut self, question: &str) -> Result<Vec<f64>> {
        numbers(&self.ask(question)?)
    }

    /// In ns.
    pub(super) fn time(&mut self, question: &str) -> Result<f64> {
        match self.numbers(question)?[..] {
            [time] => Ok(time),
            _ => Err(format!("`{question}` is answered otherwise").into()),
        }
    }
}

pub(super) fn numbers(line: &str) -> Result<Vec<f64>> {
    let numbers = line.split_whitespace().map(str::parse);
    Ok(numbers.collect::<Result<_, _>>()?)
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
