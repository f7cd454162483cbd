//! What the players run on: made-up bundles, histories, and the players themselves, built.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::player::Player;
use crate::artifact;
use crate::error::{Error, Result, While};
use crate::process;
use crate::python_env::PythonEnv;
use crate::tools;
use crate::workspace::Workspace;

#[path = "../../../benches/made_up/mod.rs"]
mod made_up;

const PLAYERS: &str = "benches/race";
pub const USERS: usize = 64;
const LENGTH: usize = 50;
const WIDTH: usize = 64;

/// A hand-written program deserves what a good compiler does for this very machine.
const OPTIMISED: [&str; 4] = ["-O3", "-march=native", "-ffast-math", "-std=c11"];

pub struct Course<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
    python: Option<PathBuf>,
    has_faiss: bool,
    /// Cargo's profile of oneiro's library.
    release: bool,
}

impl<'a> Course<'a> {
    /// Builds what is missing, unless all is `built`. With `quick`, nothing is optimised and nothing is downloaded: faiss
    /// stays away if it is not installed.
    pub fn prepare(workspace: &'a Workspace, quick: bool, built: bool) -> Result<Self> {
        let own = PythonEnv::of(workspace, &format!("{PLAYERS}/requirements.lock"), "race")?;
        if !own.is_complete() && !quick {
            own.install()?;
        }
        let has_faiss = own.is_complete();
        let python = match has_faiss {
            true => Some(own.python()),
            false => {
                let models = PythonEnv::locate(workspace)?;
                models.is_complete().then(|| models.python())
            }
        };
        let course = Self {
            workspace,
            folder: workspace.path(if quick {
                "target/race/quick"
            } else {
                "target/race"
            }),
            python,
            has_faiss,
            release: !quick,
        };
        if !built {
            course.build()?;
        }
        Ok(course)
    }

    /// Whether a player can take part: what the one in C loads is made in Python.
    pub fn admits(&self, player: Player) -> bool {
        match player {
            Player::Oneiro(_) => true,
            Player::ByHand | Player::Numpy => self.python.is_some(),
            Player::Flat | Player::Sq8 => self.has_faiss,
        }
    }

    /// The libraries by the names that programs ask for, and the programs that are linked to them.
    fn build(&self) -> Result<()> {
        let library = self.folder.join("lib");
        fs::create_dir_all(&library).while_doing(|| format!("make {}", library.display()))?;
        let mut build = self.workspace.cargo();
        build.args(["rustc", "--package", "oneiro", "--lib"]);
        // The other kinds of library take as long again.
        build.args(["--crate-type", "cdylib"]);
        build.args(self.release.then_some("--release"));
        let oneiro = artifact::build(&mut build, false)?
            .iter()
            .filter(|artifact| artifact.name == "oneiro")
            .find_map(|artifact| artifact.shared_library().cloned())
            .ok_or_else(|| Error::new("cargo built no shared library `oneiro`"))?;
        for name in ["liboneiro.so", "liboneiro.so.0"] {
            link(&oneiro, &library.join(name))?;
        }
        let runtime = self.workspace.onnxruntime().join("libonnxruntime.so");
        for name in ["libonnxruntime.so", "libonnxruntime.so.1"] {
            link(&runtime, &library.join(name))?;
        }
        self.compile("oneiro", &["oneiro.c", "player.c"], &["-loneiro"])?;
        let by_hand = ["-lonnxruntime", "-lpthread"];
        self.compile("by_hand", &["by_hand.c", "player.c"], &by_hand)?;
        self.compile("bandwidth", &["bandwidth.c"], &["-lpthread"])
    }

    fn compile(&self, program: &str, sources: &[&str], libraries: &[&str]) -> Result<()> {
        let compiler = tools::find("gcc", "cc").ok_or_else(|| {
            Error::new(format!(
                "a C compiler is needed: {}",
                tools::packages("gcc")
            ))
        })?;
        let library = self.folder.join("lib");
        let mut compile = self.workspace.command(compiler);
        compile
            .args(OPTIMISED)
            .args(["-Wall", "-Wextra", "-Werror"]);
        compile.arg(format!("-DWIDTH={WIDTH}"));
        compile.arg("-I").arg(self.workspace.path("include"));
        for source in sources {
            compile.arg(self.workspace.path(PLAYERS).join(source));
        }
        compile.arg("-L").arg(&library).args(libraries);
        let mut path = OsString::from("-Wl,-rpath,");
        path.push(&library);
        compile.arg(path).arg("-o").arg(self.folder.join(program));
        process::run(&mut compile)
    }

    /// The folder of a catalog: its bundle, histories, and what the other players load.
    fn catalog(&self, items: usize, dtype: &str) -> Result<PathBuf> {
        let folder = self.folder.join(format!("{dtype}-{items}"));
        let stamp = folder.join("complete");
        if stamp.is_file() {
            return Ok(folder);
        }
        eprintln!("race: making up {items} items, {dtype}");
        let bundle = folder.join("bundle");
        fs::create_dir_all(&bundle).while_doing(|| format!("make {}", bundle.display()))?;
        made_up::write(
            &self.workspace.path(crate::demo::BUNDLE),
            &bundle,
            items,
            dtype,
        )
        .while_doing(|| format!("write {}", bundle.display()))?;
        let histories = folder.join("histories");
        fs::write(&histories, made_up_histories(items))
            .while_doing(|| format!("write {}", histories.display()))?;
        if let Some(python) = &self.python {
            // The models as they should be for a quick start: the bundle's, and what the player in C loads.
            if dtype == "f32" {
                let mut prepare = self.workspace.command(python);
                let script = self.workspace.path(PLAYERS).join("player.py");
                process::run(prepare.arg(script).arg(&folder).arg("prepare"))?;
            }
            let mut optimise = self.workspace.command(python);
            optimise
                .env(
                    "PYTHONPATH",
                    self.workspace.path("models/oneiro_models/src"),
                )
                .args(["-m", "oneiro_models", "optimise"]);
            process::run(optimise.arg(&bundle))?;
        }
        fs::write(&stamp, "").while_doing(|| format!("write {}", stamp.display()))?;
        Ok(folder)
    }

    /// Makes sure that everything is there which a part will open.
    pub fn lay(&self, items: usize, players: &[Player]) -> Result<()> {
        players
            .iter()
            .try_for_each(|player| self.catalog(items, player.dtype()).map(drop))
    }

    /// The command that starts a player.
    pub fn command(&self, player: Player, items: usize, threads: usize) -> Result<Command> {
        let mut command = match (player.script(), &self.python) {
            (None, _) => self.workspace.command(self.folder.join(player.program())),
            (Some(_), Some(python)) => {
                let mut command = self.workspace.command(python);
                command.arg(self.workspace.path(PLAYERS).join("player.py"));
                command
            }
            (Some(_), None) => return Err(Error::new("the race's Python environment is missing")),
        };
        command
            .arg(self.catalog(items, player.dtype())?)
            .arg(threads.to_string());
        command.args(player.script());
        command
            .env("ORT_DYLIB_PATH", self.workspace.onnxruntime())
            .env("ORT_DISABLE_TELEMETRY", "1")
            .env("OPENBLAS_NUM_THREADS", threads.to_string())
            // Its threads spin for a tenth of a second after their work (2^28 cycles), and would take a processor from
            // whoever comes next. With 2^10 they sleep, as those of the other players do.
            .env("OPENBLAS_THREAD_TIMEOUT", "10")
            .env("OMP_NUM_THREADS", threads.to_string());
        Ok(command)
    }

    /// The speed of reading memory, in GB/s, that one run in four exceeds.
    pub fn bandwidth(&self, threads: usize) -> Result<f64> {
        let mut command = self.workspace.command(self.folder.join("bandwidth"));
        let said = process::answer(command.arg(threads.to_string()))
            .ok_or_else(|| Error::new("the bandwidth could not be measured"))?;
        let mut speeds: Vec<f64> = said
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        speeds.sort_by(f64::total_cmp);
        speeds
            .get(speeds.len() * 3 / 4)
            .copied()
            .ok_or_else(|| Error::new("the bandwidth could not be measured"))
    }

    pub fn workspace(&self) -> &Workspace {
        self.workspace
    }
}

/// What so many users have seen: `[USERS, LENGTH]` u32, distinct in each history.
fn made_up_histories(items: usize) -> Vec<u8> {
    let item = |index: usize| (index * 7919 + index / LENGTH * 13) % items;
    (0..USERS * LENGTH)
        .flat_map(|index| (item(index) as u32).to_le_bytes())
        .collect()
}

/// Gives a file another name: the same file where the disk allows it.
fn link(file: &Path, name: &Path) -> Result<()> {
    let _ = fs::remove_file(name);
    fs::hard_link(file, name)
        .or_else(|_| fs::copy(file, name).map(drop))
        .while_doing(|| format!("link {}", name.display()))
}
