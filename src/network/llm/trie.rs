//! Continuations as a tree: what several have in common is there once.

#![forbid(unsafe_code)]

/// One token of one continuation or of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) token: u32,
    /// The node of the token before; none for a first token.
    pub(super) parent: Option<usize>,
    /// How many tokens are before it.
    pub(super) depth: usize,
    /// Its place among the nodes that something follows on: those that a model must read.
    pub(super) inner: Option<usize>,
}

/// The tree of some continuations. A node comes after its parent, and the first of what follows on a node right after it.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// The last node of each continuation.
    ends: Vec<usize>,
    inner: usize,
}

impl Trie {
    /// The tree of continuations that are sorted, none empty.
    pub(super) fn new(sorted: &[&[u32]]) -> Self {
        let mut trie = Self {
            nodes: Vec::new(),
            ends: Vec::with_capacity(sorted.len()),
            inner: 0,
        };
        // The nodes of the continuation before.
        let mut path: Vec<usize> = Vec::new();
        for (place, tokens) in sorted.iter().enumerate() {
            let before = place
                .checked_sub(1)
                .map_or(&[][..], |before| sorted[before]);
            path.truncate(common(before, tokens));
            for &token in &tokens[path.len()..] {
                let (parent, depth) = (path.last().copied(), path.len());
                if let Some(parent) = parent {
                    trie.go_on_from(parent);
                }
                path.push(trie.nodes.len());
                trie.nodes.push(Node {
                    token,
                    parent,
                    depth,
                    inner: None,
                });
            }
            trie.ends.extend(path.last());
        }
        trie
    }

    /// Something follows on a node.
    fn go_on_from(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        if node.inner.is_none() {
            node.inner = Some(self.inner);
            self.inner += 1;
        }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The last node of each continuation.
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// The nodes that something follows on, in the order of their places, which is their own: what follows on a
    /// continuation comes right after it.
    pub(super) fn inner(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.inner.is_some())
    }

    /// The nodes that follow on the text itself, then those on each inner node.
    pub(super) fn following(&self) -> Vec<Vec<usize>> {
        let mut following = vec![Vec::new(); self.inner + 1];
        for (place, node) in self.nodes.iter().enumerate() {
            following[self.before(node).map_or(0, |inner| inner + 1)].push(place);
        }
        following
    }

    /// A node and those before it, the first one last.
    pub(super) fn path(&self, node: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(node), |&node| self.nodes[node].parent)
    }

    /// The place, among the inner nodes, of what is before a node; none for the text that all continue.
    pub(super) fn before(&self, node: &Node) -> Option<usize> {
        node.parent.and_then(|parent| self.nodes[parent].inner)
    }
}

/// How many tokens both begin with.
pub(super) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Cuts continuations, sorted and distinct, into runs whose trees have at most `rows` inner nodes, in their order.
///
/// One that has more by itself is a run of its own.
pub(super) fn runs<'a, 'b>(sorted: &'b [&'a [u32]], rows: usize) -> Vec<&'b [&'a [u32]]> {
    let mut runs = Vec::new();
    let (mut start, mut inner) = (0, 0);
    for place in 0..sorted.len() {
        let tokens = sorted[place];
        let before = match place > start {
            true => sorted[place - 1],
            false => &[],
        };
        let shared = common(before, tokens);
        // Inner nodes: all but the last token. Of those, the ones that the one before has already, of which the last is
        // new as an inner one if that one ended there.
        let new = tokens.len() - 1 - shared.min(before.len().saturating_sub(1));
        if place > start && inner + new > rows {
            runs.push(&sorted[start..place]);
            (start, inner) = (place, tokens.len() - 1);
        } else {
            inner += new;
        }
    }
    if start < sorted.len() {
        runs.push(&sorted[start..]);
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn path(trie: &Trie, end: usize) -> Vec<u32> {
        let mut tokens: Vec<u32> = trie.path(end).map(|node| trie.nodes[node].token).collect();
        tokens.reverse();
        tokens
    }

    #[test]
    fn what_is_common_is_there_once_and_leaves_are_not_read() {
        let trie = Trie::new(&[&[1], &[1, 2, 3], &[1, 2, 4], &[5]]);
        let tokens: Vec<u32> = trie.nodes.iter().map(|node| node.token).collect();
        assert_eq!(tokens, [1, 2, 3, 4, 5]);
        assert_eq!(trie.ends, [0, 2, 3, 4]);
        let inner: Vec<u32> = trie.inner().map(|node| node.token).collect();
        assert_eq!(inner, [1, 2]);
    }

    fn continuations() -> impl Strategy<Value = BTreeSet<Vec<u32>>> {
        let tokens = prop::collection::vec(0..4_u32, 1..6);
        prop::collection::btree_set(tokens, 0..20)
    }

    /// What nodes a model must read, counted the slow way: every prefix that something follows on.
    fn inner_of(sorted: &[&[u32]]) -> usize {
        let prefixes = sorted
            .iter()
            .flat_map(|tokens| (1..tokens.len()).map(|end| &tokens[..end]));
        prefixes.collect::<BTreeSet<_>>().len()
    }

    proptest! {
        #[test]
        fn a_tree_holds_its_continuations_and_no_prefix_twice(set in continuations()) {
            let sorted: Vec<&[u32]> = set.iter().map(Vec::as_slice).collect();
            let trie = Trie::new(&sorted);
            prop_assert_eq!(trie.ends().len(), sorted.len());
            for (&end, tokens) in trie.ends().iter().zip(&sorted) {
                prop_assert_eq!(&path(&trie, end), tokens);
            }
            let prefixes: BTreeSet<_> = (0..trie.nodes.len()).map(|node| path(&trie, node)).collect();
            prop_assert_eq!(prefixes.len(), trie.nodes.len());
            let places = trie.inner().map(|node| node.inner);
            prop_assert!(places.eq((0..inner_of(&sorted)).map(Some)));
            for (place, node) in trie.nodes.iter().enumerate() {
                prop_assert!(node.parent.is_none_or(|parent| parent < place));
                prop_assert_eq!(node.depth + 1, path(&trie, place).len());
                prop_assert_eq!(trie.before(node).is_none(), node.parent.is_none());
            }
        }

        #[test]
        fn runs_are_all_continuations_in_order_and_fit(set in continuations(), rows in 1..9_usize) {
            let sorted: Vec<&[u32]> = set.iter().map(Vec::as_slice).collect();
            let runs = runs(&sorted, rows);
            prop_assert_eq!(runs.concat(), sorted.clone());
            for run in &runs {
                prop_assert!(run.len() == 1 || inner_of(run) <= rows, "{:?}", run);
            }
            // None has room for the first of the next.
            let mut start = 0;
            for run in runs.iter().take(runs.len().saturating_sub(1)) {
                prop_assert!(inner_of(&sorted[start..=start + run.len()]) > rows);
                start += run.len();
            }
        }
    }
}
