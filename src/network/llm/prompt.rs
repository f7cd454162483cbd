//! A prompt: what a language model is to continue, piece by piece.

#![forbid(unsafe_code)]

use std::sync::Arc;

/// What a language model reads: texts, single tokens and rows, in order.
///
/// Each text is encoded by itself, and nothing in it is taken for a special token: those come as [`token`](Self::token)
/// only. The model's begin token, if it has one, is put in front by itself.
///
/// ```
/// use oneiro::Prompt;
///
/// let prompt = Prompt::new().text("After ").title("Dune\nPart One").text(" people like ");
/// # let _ = prompt;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt(pub(super) Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Token(u32),
    Row(Arc<[f32]>),
    /// What is before it is the same for all users.
    Shared,
}

impl Prompt {
    /// One without pieces.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Then a text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.then(Piece::Text(text.into()))
    }

    /// Then a title, as [`text`](Self::text), but that line breaks in it become spaces.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        self.text(one_line(title))
    }

    /// Then a token, by its number in the tokenizer.
    #[must_use]
    pub fn token(self, token: u32) -> Self {
        self.then(Piece::Token(token))
    }

    /// Then a row in the place of a token's: `[D]`, such as an item's, projected to the width of the model.
    #[must_use]
    pub fn row(self, row: impl Into<Arc<[f32]>>) -> Self {
        self.then(Piece::Row(row.into()))
    }

    /// What came so far is the same for all users, such as the beginning of a template: it is read once for an engine, and
    /// kept for whoever comes next. The last eight such beginnings of a model are kept; those read with an adapter are others
    /// than those read without.
    #[must_use]
    pub fn shared(self) -> Self {
        self.then(Piece::Shared)
    }

    fn then(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::new().text(text)
    }
}

/// A title as one line: each line break becomes a space.
pub(super) fn one_line(title: &str) -> String {
    title.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line() {
        let prompt = Prompt::new().title("A\r\nB").text("A\nB");
        let texts = [Piece::Text("A  B".into()), Piece::Text("A\nB".into())];
        assert_eq!(prompt.0, texts);
    }
}
