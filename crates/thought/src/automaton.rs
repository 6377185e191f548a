//! A suffix automaton over symbols (bytes or tokens) that grows at its end.
//!
//! Input: a text, symbol by symbol. Answer, in time linear in the question: for each place of
//! another text, how long a piece ending there occurs in this one.
//!
//! Source: Blumer et al., *The smallest automaton recognizing the subwords of a text* (1985).

use std::collections::HashMap;

/// All pieces of a text, in at most two states a symbol.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    states: Vec<State>,
    edges: Vec<Edge>,
    /// Edge by (state, symbol).
    at: HashMap<(u32, u32), u32>,
    last: u32,
}

#[derive(Debug, Clone, Copy)]
struct State {
    length: u32,
    /// The state of the longest piece that is a proper ending of this one's and in another class.
    link: Option<u32>,
    first_edge: Option<u32>,
}

/// Edges of one state form a list, so that a state can be copied.
#[derive(Debug, Clone, Copy)]
struct Edge {
    symbol: u32,
    to: u32,
    next: Option<u32>,
}

impl Automaton {
    pub(crate) fn new() -> Self {
        let root = State { length: 0, link: None, first_edge: None };
        Self { states: vec![root], edges: Vec::new(), at: HashMap::new(), last: 0 }
    }

    pub(crate) fn of(symbols: impl IntoIterator<Item = u32>) -> Self {
        let mut automaton = Self::new();
        symbols.into_iter().for_each(|symbol| automaton.push(symbol));
        automaton
    }

    /// Adds one symbol at the end of the text.
    pub(crate) fn push(&mut self, symbol: u32) {
        let length = self.states[self.last as usize].length + 1;
        let new = self.add_state(State { length, link: None, first_edge: None });
        let mut from = Some(self.last);
        while let Some(state) = from.filter(|&state| self.next(state, symbol).is_none()) {
            self.set_edge(state, symbol, new);
            from = self.states[state as usize].link;
        }
        let link = match from {
            None => 0,
            Some(state) => self.class_after(state, symbol),
        };
        self.states[new as usize].link = Some(link);
        self.last = new;
    }

    /// The state of exactly `state`'s longest piece followed by `symbol`, split off if need be.
    fn class_after(&mut self, state: u32, symbol: u32) -> u32 {
        let length = self.states[state as usize].length + 1;
        let to = self.next(state, symbol).expect("the caller stopped at a state with this edge");
        if self.states[to as usize].length == length {
            return to;
        }
        let copy = self.add_state(State { length, link: self.states[to as usize].link, first_edge: None });
        let mut edge = self.states[to as usize].first_edge;
        while let Some(Edge { symbol, to, next }) = edge.map(|edge| self.edges[edge as usize]) {
            self.set_edge(copy, symbol, to);
            edge = next;
        }
        let mut from = Some(state);
        while let Some(state) = from.filter(|&state| self.next(state, symbol) == Some(to)) {
            self.set_edge(state, symbol, copy);
            from = self.states[state as usize].link;
        }
        self.states[to as usize].link = Some(copy);
        copy
    }

    fn add_state(&mut self, state: State) -> u32 {
        self.states.push(state);
        self.states.len() as u32 - 1
    }

    fn next(&self, state: u32, symbol: u32) -> Option<u32> {
        self.at.get(&(state, symbol)).map(|&edge| self.edges[edge as usize].to)
    }

    fn set_edge(&mut self, state: u32, symbol: u32, to: u32) {
        if let Some(&edge) = self.at.get(&(state, symbol)) {
            self.edges[edge as usize].to = to;
            return;
        }
        let edge = self.edges.len() as u32;
        let next = self.states[state as usize].first_edge.replace(edge);
        self.edges.push(Edge { symbol, to, next });
        self.at.insert((state, symbol), edge);
    }

    /// For each place in `symbols`: the length of the longest piece ending there (that symbol
    /// included) that occurs in this automaton's text.
    pub(crate) fn matches(&self, symbols: impl IntoIterator<Item = u32>) -> Vec<usize> {
        let (mut state, mut length) = (0, 0);
        let step = |symbol| {
            while self.next(state, symbol).is_none() {
                let Some(link) = self.states[state as usize].link else {
                    length = 0;
                    return 0;
                };
                state = link;
                length = self.states[state as usize].length as usize;
            }
            state = self.next(state, symbol).expect("the loop ended at a state with this edge");
            length += 1;
            length
        };
        symbols.into_iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &[u32], question: &[u32]) -> Vec<usize> {
        let occurs = |piece: &[u32]| piece.is_empty() || text.windows(piece.len()).any(|window| window == piece);
        let longest = |end: usize| (0..=end).rev().find(|&length| occurs(&question[end - length..end]));
        (1..=question.len()).map(|end| longest(end).expect("the empty piece occurs")).collect()
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
            text in prop::collection::vec(0_u32..3, 0..60),
            question in prop::collection::vec(0_u32..4, 0..40),
        ) {
            let automaton = Automaton::of(text.iter().copied());
            prop_assert_eq!(automaton.matches(question.iter().copied()), naive(&text, &question));
        }
    }

    #[test]
    fn it_stays_linear_in_size() {
        let stream = recon_lm::RandomStream::from_key(3);
        let symbols = (0..100_000).map(|at| (stream.bits(at) % 7) as u32);
        let automaton = Automaton::of(symbols);
        assert!(automaton.states.len() <= 200_000 && automaton.edges.len() <= 300_000);
    }
}
