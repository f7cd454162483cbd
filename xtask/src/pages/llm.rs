//! `cargo xtask llm`: what `benches/llm` finds.

use super::Page;
use crate::about;
use crate::error::{Error, Result};
use crate::onnxruntime;
use crate::process;
use crate::python_env::PythonEnv;
use crate::workspace::Workspace;

const PLAYERS: &str = "benches/llm";

/// llama.cpp for this very machine, but not for AMX, with which it has crashed; nothing that its library does not need.
const LLAMA: [(&str, &str); 3] = [
    ("CMAKE_ARGS", "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"),
    ("CFLAGS", WITHOUT_AMX),
    ("CXXFLAGS", WITHOUT_AMX),
];
const WITHOUT_AMX: &str = match cfg!(target_arch = "x86_64") {
    true => "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16",
    false => "",
};

const BEFORE: &str = "\
# The race of language models

Written by `cargo xtask llm`, never by hand: what `cargo bench --bench llm` finds. Two untrained models, of which everybody \
has the same weights, each player a process with two threads; they are asked in turn, one call each, in several fresh \
starts, files in the page cache. The peers' waiting threads spin, oneiro's sleep after half a millisecond, as is everybody's default. Of speeds the first figure is that of the lower quartile of times, of times the quartile itself; \
one call in ten is worse than what is in brackets. Players are compared turn by turn, as in [the race](race.md): the median \
of the ratios.

- `oneiro`: bundles by `export-llm`, through the Rust API
- `genai`: onnxruntime-genai and what its builder exports for the processor; `last row`: with `prune_lm_head`, whose head \
is for the last row alone, so that it cannot score titles
- `llama.cpp`: by its C functions, compiled for this machine, without AMX; all matrices in the one type; `plain`: \
without flash attention, which it takes by itself

What is asked:

- *prefill*: another prompt, until the logits after its last row are there
- *decode*: the likeliest tokens, after a prompt of 256 rows
- *titles*: log p of 20 titles of 8 tokens after a prompt of 400 rows, none beginning as another. *Cold*: the prompt is new \
too; *warm*: it is the one before, and so is what a player keeps of it. llama.cpp reads all titles in one batch of \
sequences that share the prompt, or title by title and forgets each, as is faster; genai can only do the latter
- *open*: from the files to the first row read, without loading libraries and Python
- *private*, *shared*: what is in memory after all that, or once a model is open; shared are pages of files

Where our time goes: *memory* is how quickly two threads read 512 MiB once, *read once* what the weights that a token needs \
take at that speed, which no token can be quicker than (but for what stays in the caches); *its head* is the part of a token \
that makes the logits. Titles take the time of their *prompt*, of the *tree* of their tokens (measured with titles that \
compete with each other only), and of their *probabilities* among the whole vocabulary: the head and a softmax for every \
token that is not the last of a title.

First of all answers are compared with those of the transformers library in f32, over all tokens after a prompt of 32 rows \
and for 20 titles. What is lost is the root of the mean square of differences, as a share of the deviation of the right \
numbers; *order*: Spearman's correlation of the titles' scores. In f32 at most 0.01 may be lost, in 8 bits 0.1, in 4 bits 0.5.

To repeat it: `cargo xtask setup`, then `cargo xtask llm` on Linux with CMake's needs (a C++ compiler) and 20 GB of disk; \
models are made in `target/llm` and stay there. It takes about half an hour the first time, on a machine that does nothing else.

";

pub fn run(workspace: &Workspace) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(Error::new("the race is run on Linux only"));
    }
    onnxruntime::ensure(workspace)?;
    let models = PythonEnv::locate(workspace)?;
    if !models.is_complete() {
        return Err(Error::new(
            "the models are made with PyTorch: `cargo xtask setup` brings it",
        ));
    }
    let peers = PythonEnv::of(workspace, &format!("{PLAYERS}/requirements.lock"), "llm")?;
    if !peers.is_complete() {
        peers.install_with(&LLAMA)?;
    }
    let data = workspace.path("target/llm");
    // The builder of the peers' models needs PyTorch, too: it borrows it.
    let mut found = std::process::Command::new(peers.python());
    let packages = process::answer(found.args([
        "-c",
        "import sysconfig; print(sysconfig.get_path('platlib'))",
    ]));
    let packages = packages.ok_or_else(|| Error::new("the peers' environment has no Python"))?;
    let own = workspace.path("models/oneiro_models/src");
    for shape in ["qwen", "small"] {
        let mut make = workspace.command(models.python());
        make.arg(workspace.path(PLAYERS).join("make.py"))
            .arg(shape)
            .arg(data.join(shape))
            .env(
                "PYTHONPATH",
                format!("{}:{}", own.display(), packages.trim()),
            )
            .env("HF_HUB_OFFLINE", "1");
        process::run(&mut make)?;
    }
    let page = Page {
        bench: "llm",
        arguments: &[
            "--python".into(),
            peers.python().display().to_string(),
            "--data".into(),
            data.display().to_string(),
        ],
        before: BEFORE,
        with: &[
            ("C++", about::said("c++", &["--version"])),
            (
                "packages",
                about::packages(workspace, &format!("{PLAYERS}/requirements.in")),
            ),
        ],
        takes: |line| line.is_empty() || line.starts_with(['|', '#']),
        after: "",
    };
    page.write(workspace)
}
