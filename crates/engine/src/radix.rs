//! What documents begin with in common: the radix tree over their ids, as who follows whom.
//!
//! In order of their ids, documents that share a beginning stand side by side, and the tree is a
//! stack while they pass (Kasai et al. 2001 build suffix trees so). The first document below a node
//! owns it: it computes the node's ids, and the others below it go on from there.

/// The document that computes what another begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Its index.
    pub(crate) leader: usize,
    /// Leading ids that both have.
    pub(crate) tokens: usize,
}

/// Documents in the order of their ids, and of each the document it shares most with among those before it.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Indices of the documents.
    pub(crate) order: Vec<usize>,
    /// By index of the document.
    pub(crate) shared: Vec<Option<Shared>>,
}

impl Tree {
    /// The tree over `documents`; of equal ones the first leads.
    pub(crate) fn new(documents: &[&[u32]]) -> Self {
        let mut order: Vec<usize> = (0..documents.len()).collect();
        order.sort_by_key(|&at| (documents[at], at));
        let mut shared = vec![None; documents.len()];
        // The nodes on the way to the document before: (ids, owner), deeper ones last.
        let mut nodes: Vec<(usize, usize)> = Vec::new();
        for (rank, &at) in order.iter().enumerate() {
            let before = rank.checked_sub(1).map_or(&[][..], |before| documents[order[before]]);
            let tokens = before.iter().zip(documents[at]).take_while(|(a, b)| a == b).count();
            let mut owner = None;
            while let Some(node) = nodes.pop_if(|(depth, _)| *depth >= tokens) {
                owner = Some(node.1);
            }
            if let Some(leader) = owner.filter(|_| tokens > 0) {
                shared[at] = Some(Shared { leader, tokens });
                nodes.push((tokens, leader));
            }
            if documents[at].len() > tokens || owner.is_none() {
                nodes.push((documents[at].len(), at));
            }
        }
        Self { order, shared }
    }

    /// Ids that are computed if nothing is computed twice.
    #[cfg(test)]
    fn fresh(&self, documents: &[&[u32]]) -> usize {
        let of = |(ids, shared): (&&[u32], &Option<Shared>)| ids.len() - shared.map_or(0, |shared| shared.tokens);
        documents.iter().zip(&self.shared).map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_follows_whom() {
        let documents: [&[u32]; 6] = [&[1, 2, 3], &[7], &[1, 2, 4, 5], &[1, 9], &[1, 2, 4, 6], &[1, 2, 3]];
        let tree = Tree::new(&documents);
        let shared = |leader, tokens| Some(Shared { leader, tokens });
        assert_eq!(tree.order, [0, 5, 2, 4, 3, 1]);
        assert_eq!(tree.shared, [None, None, shared(0, 2), shared(0, 1), shared(2, 3), shared(0, 3)]);
    }

    proptest! {
        #[test]
        fn no_beginning_is_computed_twice(
            documents in prop::collection::vec(prop::collection::vec(0..3_u32, 0..9), 0..20),
        ) {
            let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
            let tree = Tree::new(&documents);
            // Every beginning of a document is a node of the trie over all of them.
            let trie: HashSet<&[u32]> =
                documents.iter().flat_map(|ids| (1..=ids.len()).map(|end| &ids[..end])).collect();
            prop_assert_eq!(tree.fresh(&documents), trie.len());
            let rank = |at: usize| tree.order.iter().position(|&it| it == at);
            for (at, shared) in tree.shared.iter().enumerate() {
                let Some(Shared { leader, tokens }) = *shared else { continue };
                prop_assert_eq!(&documents[leader][..tokens], &documents[at][..tokens]);
                prop_assert!(rank(leader) < rank(at));
            }
        }
    }
}
