//! What one user never wants to see: hidden items, and disliked ones.

#![forbid(unsafe_code)]

use super::Recommender;
use crate::error::Result;

impl Recommender {
    /// Never shows these items to this user again; says nothing about taste. All of them or, on an error, none; again
    /// is no error.
    ///
    /// # Errors
    /// [`Error::UnknownItem`](crate::Error::UnknownItem).
    pub fn hide(&mut self, items: &[u32]) -> Result<()> {
        self.check_items(items)?;
        add(&mut self.hidden, items);
        Ok(())
    }

    /// Takes [`hide`](Self::hide) back; items that are not hidden are passed over.
    pub fn unhide(&mut self, items: &[u32]) {
        remove(&mut self.hidden, items);
    }

    /// The hidden items, rising. Disliked ones are not among them unless they were hidden too.
    #[must_use]
    pub fn hidden(&self) -> &[u32] {
        &self.hidden
    }

    /// Hides these items, leaves them out of the history that encoders see, and lowers what is like them, as
    /// [`Arrangement::dislike_weight`](crate::Arrangement::dislike_weight) says. All of them or, on an error, none;
    /// again is no error.
    ///
    /// A bundle without a space for similar items (and a call that names none) knows no likeness: nothing is lowered.
    ///
    /// ```
    /// # let engine = oneiro::Engine::open("models/tiny")?;
    /// let mut user = engine.recommender();
    /// user.observe_items(&[3, 7, 12])?;
    /// user.dislike(&[7])?;
    /// assert!(!user.recommend(30)?.items().contains(&7));
    /// # Ok::<(), oneiro::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownItem`](crate::Error::UnknownItem).
    pub fn dislike(&mut self, items: &[u32]) -> Result<()> {
        self.check_items(items)?;
        add(&mut self.disliked, items);
        self.states.clear();
        Ok(())
    }

    /// Takes [`dislike`](Self::dislike) back; items that are not disliked are passed over.
    pub fn undislike(&mut self, items: &[u32]) {
        remove(&mut self.disliked, items);
        self.states.clear();
    }

    /// The disliked items, rising.
    #[must_use]
    pub fn disliked(&self) -> &[u32] {
        &self.disliked
    }

    pub(super) fn check_items(&self, items: &[u32]) -> Result<()> {
        let catalog = self.engine.catalog();
        items.iter().try_for_each(|&item| catalog.check(item))
    }
}

/// Adds items to a rising list.
fn add(list: &mut Vec<u32>, items: &[u32]) {
    list.extend_from_slice(items);
    list.sort_unstable();
    list.dedup();
}

/// Removes items from a list.
fn remove(list: &mut Vec<u32>, items: &[u32]) {
    let mut items = items.to_vec();
    items.sort_unstable();
    list.retain(|item| items.binary_search(item).is_err());
}
