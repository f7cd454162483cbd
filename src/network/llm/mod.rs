//! A language model: rows of tokens, and of anything else of their width, in; what may come next out.
//!
//! Decoder-only transformers of the Llama and Qwen2 architectures (Touvron et al., arXiv 2302.13971; Yang et al., arXiv
//! 2407.10671). The graph never holds the token table: rows are gathered before it runs, so that an item's row can stand
//! where a token's would, and the head turns only those states into logits that somebody asks for.

#![forbid(unsafe_code)]

mod beam;
mod branches;
mod cache;
mod decode;
mod explainer;
mod generator;
mod interpreter;
mod pieces;
mod prompt;
mod score;
mod softmax;
mod template;
mod titles;
mod tokens;
mod trie;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use beam::{Beam, BeamOptions};
pub(crate) use cache::{Cache, Row};
pub use decode::{Ended, GenerateOptions, Generated};
pub(crate) use explainer::{Explainer, Reason};
pub(crate) use generator::Generator;
pub use generator::Grounding;
pub(crate) use interpreter::{Asked, Interpreter};
use parking_lot::Mutex;
use prompt::Piece;
pub use prompt::Prompt;
pub use score::{Among, ScoreOptions};
pub(crate) use template::Template;
pub use titles::{Title, TitleOptions};
use tokens::Tokens;

use super::TokenTable;
use crate::bundle::{Bundle, LanguageModelEntry};
use crate::cancel::Cancel;
use crate::catalog::TitleTrie;
use crate::error::{Error, Result};
use crate::graph::{
    Adapter, Decoder, Dim, Graph, Layout, Numbers, Output, Sizes, Step, Tensor, outline,
};

/// The most rows that go into one run: beyond it they fill the processor anyway, and what a run takes would grow with
/// their square.
const RUN_ROWS: usize = 512;

/// How many beginnings that all users share are kept: those of a few templates, with an adapter and without.
const SHARED: usize = 8;

/// The most logits that come out of one run, 16 MiB, unless those of one row are more.
const RUN_LOGITS: usize = 4 << 20;

/// A language model, ready to read.
#[derive(Debug)]
pub(crate) struct Model {
    decoder: Decoder,
    tokens: Arc<TokenTable>,
    head: Head,
    /// The head's rows, where there is a table of them.
    head_rows: Option<Arc<TokenTable>>,
    tokenizer: Tokens,
    context: usize,
    /// The most rows of one run, with those before: a tree may have more than there are positions.
    packed: usize,
    begin: Option<u32>,
    stop: Vec<u32>,
    end_of_title: Option<u32>,
    titles: Option<Arc<TitleTrie>>,
    adapters: BTreeMap<String, Arc<Adapter>>,
    /// What texts begin with that all users share: the last few such beginnings, the latest first.
    shared: Mutex<Vec<Cache>>,
    /// The most rows that go into one run.
    run_rows: usize,
}

/// What makes logits of what the decoder gives.
#[derive(Debug)]
enum Head {
    /// The decoder gives logits.
    Inside,
    /// The products with the rows of a table.
    Table(Arc<TokenTable>),
    Graph(Arc<Graph>),
}

impl Model {
    /// Binds a graph to its table, its head and its tokenizer, checking that they agree.
    pub(crate) fn open(
        bundle: &Bundle,
        name: &str,
        entry: &LanguageModelEntry,
        graphs: &BTreeMap<String, Arc<Graph>>,
    ) -> Result<Self> {
        let tokens = Arc::clone(bundle.token_table(&entry.tokens)?);
        let vocabulary = tokens.len() as usize;
        let sizes = Sizes {
            layers: entry.layers as usize,
            kv_heads: entry.kv_heads as usize,
            head_size: entry.head_size as usize,
            width: tokens.width(),
        };
        let outline = outline(bundle, &entry.graph)?;
        let graph = Arc::clone(&graphs[&entry.graph]);
        let decoder = Decoder::open(graph, &outline, sizes, vocabulary)?;
        let misplaced = |expected: &str, found: &str| {
            let at = format!("language_models.{name}.head");
            Err(Error::manifest(at, expected, found))
        };
        let head = match (decoder.output(), &entry.head) {
            (Output::Logits(_), None) => Head::Inside,
            (Output::Logits(_), Some(_)) => {
                return misplaced("nothing: the graph gives logits", "a head");
            }
            (Output::HiddenStates, None) => {
                let expected = "a `table` or a `graph`: the graph gives hidden states";
                return misplaced(expected, "nothing");
            }
            (Output::HiddenStates, Some(entry)) => match (&entry.graph, &entry.table) {
                (Some(graph), _) => {
                    let graph = Arc::clone(&graphs[graph]);
                    let dims = [Dim::Any, Dim::Exactly(tokens.width())];
                    graph.expect_inputs(&[("hidden_states", Numbers::F32, &dims)])?;
                    let dims = [Dim::Any, Dim::Exactly(vocabulary)];
                    graph.expect_output("logits", Numbers::F32, &dims)?;
                    Head::Graph(graph)
                }
                (None, Some(table)) => Head::Table(Arc::clone(bundle.token_table(table)?)),
                (None, None) => {
                    let reason = "a head of nothing passed the manifest's checks".into();
                    return Err(Error::Internal { reason });
                }
            },
        };
        let head_rows = entry.head.as_ref().and_then(|head| head.table.as_ref());
        let head_rows = head_rows.map(|table| bundle.token_table(table).map(Arc::clone));
        let mut adapters = BTreeMap::new();
        for (name, part) in &entry.adapters {
            adapters.insert(name.clone(), Arc::new(Adapter::open(bundle, part)?));
        }
        let tokenizer = bundle.part(&entry.tokenizer)?;
        Ok(Self {
            run_rows: match head {
                Head::Inside => (RUN_LOGITS / vocabulary).clamp(1, RUN_ROWS),
                _ => RUN_ROWS,
            },
            tokenizer: Tokens::open(&entry.tokenizer, &tokenizer, tokens.len())?,
            decoder,
            tokens,
            head,
            head_rows: head_rows.transpose()?,
            context: entry.context as usize,
            packed: entry.packed.unwrap_or(entry.context) as usize,
            begin: entry.begin,
            stop: entry.stop.clone(),
            end_of_title: entry.end_of_title,
            titles: bundle.title_trie(name).map(Arc::clone),
            adapters,
            shared: Mutex::new(Vec::new()),
        })
    }

    /// A cache that has read nothing, for reading with an adapter or without.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no such adapter.
    pub(crate) fn cache(&self, adapter: Option<&str>) -> Result<Cache> {
        let adapter = adapter.map(|name| match self.adapters.get(name) {
            Some(adapter) => Ok(Arc::clone(adapter)),
            None => Err(Error::Unsupported {
                what: format!("adapter `{name}`"),
            }),
        });
        Ok(Cache::new(self.decoder.past(adapter.transpose()?)))
    }

    /// A cache that has read nothing, for reading as another does.
    pub(crate) fn cache_like(&self, other: &Cache) -> Cache {
        Cache::new(self.decoder.past(other.past.adapter().map(Arc::clone)))
    }

    /// How many rows a prompt and what follows may have.
    pub(crate) fn context(&self) -> usize {
        self.context
    }

    /// The tokens of a text.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode("text", text)
    }

    /// The rows that a prompt is, the begin token first, and how many of them all users share.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a token that is not there, a row of another width or with numbers that are not
    /// finite, and a prompt of nothing; [`Error::Part`] if the tokenizer cannot read a text in time; [`Error::Cancelled`],
    /// [`Error::DeadlineExceeded`].
    pub(crate) fn rows(&self, prompt: &Prompt, cancel: &Cancel) -> Result<(Vec<Row>, usize)> {
        let wrong = |reason: String| Err(Error::argument("prompt", reason));
        let mut rows: Vec<Row> = self.begin.map(Row::Token).into_iter().collect();
        let mut shared = 0;
        for piece in &prompt.0 {
            match piece {
                Piece::Shared => shared = rows.len(),
                Piece::Text(text) => {
                    cancel.check()?;
                    let tokens = self.tokenizer.encode("prompt", text)?;
                    rows.extend(tokens.into_iter().map(Row::Token));
                }
                Piece::Token(token) if *token < self.tokens.len() => rows.push(Row::Token(*token)),
                Piece::Token(token) => {
                    let count = self.tokens.len();
                    return wrong(format!("the token {token} is not one of {count}"));
                }
                Piece::Row(row) if row.len() != self.tokens.width() => {
                    let (found, width) = (row.len(), self.tokens.width());
                    return wrong(format!("a row of {found} numbers, expected {width}"));
                }
                Piece::Row(row) => match row.iter().find(|number| !number.is_finite()) {
                    Some(number) => return wrong(format!("a row with {number} in it")),
                    None => rows.push(Row::Vector(Arc::clone(row))),
                },
            }
        }
        match rows.is_empty() {
            true => wrong("it is empty, and the model has no begin token".into()),
            false => Ok((rows, shared)),
        }
    }

    /// Fails if so many rows do not fit.
    fn check_length(&self, rows: usize) -> Result<()> {
        match rows <= self.context {
            true => Ok(()),
            false => Err(Error::TooLong {
                rows,
                context: self.context,
            }),
        }
    }

    /// Reads rows: the cache then holds exactly these, of which only those are read that it did not begin with.
    ///
    /// # Errors
    /// [`Error::TooLong`] before anything is read; [`Error::Runtime`], [`Error::OutOfMemory`], [`Error::Cancelled`],
    /// [`Error::DeadlineExceeded`]: the cache then holds some of the first.
    pub(crate) fn read(&self, cache: &mut Cache, rows: &[Row], cancel: &Cancel) -> Result<()> {
        self.check_length(rows.len())?;
        cancel.check()?;
        let shared = cache.shared.min(rows.len());
        if cache.common(&rows[..shared]) < shared {
            self.read_shared(cache, &rows[..shared], cancel)?;
        }
        self.read_on(cache, rows, cancel)
    }

    /// Reads what all users share, or takes it from whoever has.
    fn read_shared(&self, cache: &mut Cache, rows: &[Row], cancel: &Cancel) -> Result<()> {
        let adapter = cache.past.adapter().map(Arc::clone);
        let same = |shared: &Cache| {
            shared.past.is_of(adapter.as_ref())
                && shared.common(rows) == rows.len()
                && shared.len() == rows.len()
        };
        let mut kept = self.shared.lock();
        if let Some(place) = kept.iter().position(same) {
            kept[..=place].rotate_right(1);
            return cache.copy(self.decoder.graph(), &kept[0]);
        }
        drop(kept);
        self.read_on(cache, rows, cancel)?;
        let mut shared = self.cache_like(cache);
        shared.copy(self.decoder.graph(), cache)?;
        let mut kept = self.shared.lock();
        // Somebody else may have been as quick.
        if !kept.iter().any(same) {
            kept.insert(0, shared);
            kept.truncate(SHARED);
        }
        Ok(())
    }

    /// What is kept of texts that all users share, in bytes.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.shared.lock().iter().map(Cache::bytes).sum()
    }

    fn read_on(&self, cache: &mut Cache, rows: &[Row], cancel: &Cancel) -> Result<()> {
        let kept = cache.keep(rows);
        self.decoder.reserve(&mut cache.past, rows.len(), kept)?;
        let mut out = Vec::new();
        for rows in rows[kept..].chunks(self.run_rows) {
            let gathered = self.gather(rows)?;
            let step = Step {
                past: cache.len(),
                rows: &gathered,
                layout: Layout::Sequence,
            };
            self.decoder.run(&mut cache.past, &step, cancel, &mut out)?;
            let width = self.decoder.output_width();
            cache.append(rows, &out[out.len() - width..]);
        }
        Ok(())
    }

    /// What the model, without an adapter, makes of a text by itself: the state after its last token, `[D]`, its last layer's
    /// after the final norm. BIGRec's embedding (Bao et al., arXiv 2308.08434).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the graph gives logits; [`Error::InvalidArgument`] for a text of nothing that no begin token
    /// stands in front of; what [`read`](Self::read) gives.
    pub(crate) fn embed(&self, text: &str, cancel: &Cancel) -> Result<Vec<f32>> {
        if let Head::Inside = self.head {
            return Err(Error::Unsupported {
                what: "state of a text: the language model's graph gives logits".into(),
            });
        }
        let mut cache = self.cache(None)?;
        let (rows, _) = self.rows(&Prompt::new().text(text), cancel)?;
        self.read(&mut cache, &rows, cancel)?;
        match cache.last().iter().find(|number| !number.is_finite()) {
            None => Ok(cache.last().to_vec()),
            Some(number) => {
                let (graph, found) = (self.decoder.graph(), number.to_string());
                let what = "output `hidden_states`";
                Err(Error::graph(graph, what, "finite numbers", found))
            }
        }
    }

    /// The logits, `[V]`, of what comes after the rows that a cache holds.
    pub(crate) fn logits(&self, cache: &Cache, cancel: &Cancel) -> Result<Vec<f32>> {
        let mut found = Vec::new();
        self.logits_of(cache.last(), cancel, &mut |_, logits| {
            found = logits.to_vec();
            Ok(())
        })?;
        Ok(found)
    }

    /// The numbers of rows, `[S, D]`.
    fn gather(&self, rows: &[Row]) -> Result<Vec<f32>> {
        let width = self.tokens.width();
        let mut gathered = vec![0.0; rows.len() * width];
        for (row, out) in rows.iter().zip(gathered.chunks_exact_mut(width)) {
            match row {
                Row::Token(token) => self.tokens.row(*token, out)?,
                Row::Vector(row) => out.copy_from_slice(row),
            }
        }
        Ok(gathered)
    }

    /// The logits `[V]` of each row of what a decoder gave, one after the other.
    fn logits_of(
        &self,
        given: &[f32],
        cancel: &Cancel,
        each: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let (width, vocabulary) = (self.tokens.width(), self.tokens.len() as usize);
        if let Head::Inside = self.head {
            let mut rows = given.chunks_exact(vocabulary).enumerate();
            return rows.try_for_each(|(row, logits)| each(row, logits));
        }
        if let Some(number) = given.iter().find(|number| !number.is_finite()) {
            let (graph, found) = (self.decoder.graph(), number.to_string());
            let what = "output `hidden_states`";
            return Err(Error::graph(graph, what, "finite numbers", found));
        }
        let count = given.len() / width;
        let mut row = 0;
        let mut give = |logits: &[f32]| {
            for logits in logits.chunks_exact(vocabulary) {
                each(row, logits)?;
                row += 1;
            }
            Ok(())
        };
        // As many rows in each run as in the others, but for the last: their tensors are made once.
        let runs = count.div_ceil((RUN_LOGITS / vocabulary).max(1));
        let rows = count.div_ceil(runs.max(1)).max(1);
        let (alike, rest) = given.split_at(count / rows * rows * width);
        for (given, rows) in [(alike, rows), (rest, count % rows)] {
            if given.is_empty() {
                continue;
            }
            match &self.head {
                Head::Graph(graph) => {
                    let input = Tensor {
                        name: "hidden_states",
                        numbers: Numbers::F32,
                        shape: &[rows as i64, width as i64],
                    };
                    let output = [rows as i64, vocabulary as i64];
                    graph.bind([input], ("logits", &output), cancel, |bound| {
                        given.chunks_exact(rows * width).try_for_each(|states| {
                            bound.f32s(0)?.copy_from_slice(states);
                            bound.run()?;
                            give(bound.output()?)
                        })
                    })?;
                }
                Head::Table(table) => {
                    let mut logits = vec![0.0; rows * vocabulary];
                    for states in given.chunks_exact(rows * width) {
                        table.products(states, &mut logits, cancel)?;
                        give(&logits)?;
                    }
                }
                Head::Inside => {}
            }
        }
        Ok(())
    }
}
