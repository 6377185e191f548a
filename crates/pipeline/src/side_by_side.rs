//! Works on several items at once and takes what they give in their order, as if one came after another.
//!
//! Invariant: what is taken, and in which order, does not depend on how many are worked on at once. Items begin at most
//! a window ahead of the first that is not done, so that little is lost when a run is stopped.
//!
//! The threads are of their own and no tasks of rayon: they wait for one another in the engine.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use crate::failure::{Failure, Outcome};

enum Event<O> {
    Gives(O),
    Ends(Outcome),
}

/// What an item has given that is not taken yet, and how it ended, if it has.
struct Ahead<O> {
    given: VecDeque<O>,
    ended: Option<Outcome>,
}

/// Does `work` on up to `at_once` items at the same time; `take` gets what they give, in order of items. Ends with the
/// first failure in that order.
pub(crate) fn side_by_side<I: Send, O: Send>(
    at_once: usize,
    items: impl Iterator<Item = Outcome<I>>,
    work: impl Fn(I, &dyn Fn(O)) -> Outcome + Sync,
    take: impl FnMut(O) -> Outcome,
) -> Outcome {
    let (begin, begun) = mpsc::channel();
    let (events, heard) = mpsc::channel();
    let (begun, stop, work) = (Mutex::new(begun), AtomicBool::new(false), &work);
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (events, begun, stop) = (events.clone(), &begun, &stop);
            scope.spawn(move || {
                let next = || begun.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((at, item)) = next() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let give = |given| drop(events.send((at, Event::Gives(given))));
                    let ended = catch_unwind(AssertUnwindSafe(|| work(item, &give)))
                        .unwrap_or_else(|_| Err(Failure::run_because("a fault of the program ended a thread")));
                    drop(events.send((at, Event::Ends(ended))));
                }
            });
        }
        drop(events);
        let all = in_order(2 * at_once, items, &begin, &heard, take);
        stop.store(true, Ordering::Relaxed);
        drop(begin);
        all
    })
}

fn in_order<I, O>(
    window: usize,
    mut items: impl Iterator<Item = Outcome<I>>,
    begin: &mpsc::Sender<(usize, I)>,
    heard: &mpsc::Receiver<(usize, Event<O>)>,
    mut take: impl FnMut(O) -> Outcome,
) -> Outcome {
    let mut ahead: BTreeMap<usize, Ahead<O>> = BTreeMap::new();
    let (mut next, mut fault) = (0, None);
    loop {
        while fault.is_none() && ahead.len() < window {
            match items.next() {
                None => break,
                Some(Err(failure)) => fault = Some(failure),
                Some(Ok(item)) => {
                    ahead.insert(next, Ahead { given: VecDeque::new(), ended: None });
                    begin.send((next, item)).expect("the threads hear until there is nothing more to begin");
                    next += 1;
                }
            }
        }
        if ahead.is_empty() {
            return fault.map_or(Ok(()), Err);
        }
        let (at, event) = heard.recv().expect("a thread that works on an item says how it ended");
        let it = ahead.get_mut(&at).expect("what is not done is ahead");
        match event {
            Event::Gives(given) => it.given.push_back(given),
            Event::Ends(ended) => it.ended = Some(ended),
        }
        while let Some(mut first) = ahead.first_entry() {
            while let Some(given) = first.get_mut().given.pop_front() {
                take(given)?;
            }
            match first.get_mut().ended.take() {
                None => break,
                Some(ended) => {
                    first.remove();
                    ended?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Items that take longer the earlier they come, each giving as many numbers as it says.
    fn taken(at_once: usize, items: &[usize], failing: Option<usize>) -> (Vec<usize>, Outcome) {
        let mut taken = Vec::new();
        let numbered = items.iter().copied().enumerate().map(Ok);
        let work = |(at, count): (usize, usize), give: &dyn Fn(usize)| {
            for number in 0..count {
                thread::sleep(Duration::from_millis(((items.len() - at) % 4) as u64));
                give(100 * at + number);
            }
            if failing == Some(at) { Err(Failure::run_because(format!("item {at}"))) } else { Ok(()) }
        };
        let outcome = side_by_side(at_once, numbered, work, |number| {
            taken.push(number);
            Ok(())
        });
        (taken, outcome)
    }

    #[test]
    fn what_is_taken_does_not_depend_on_how_many_work() {
        let items = [3, 0, 1, 4, 2, 0, 0, 5, 1, 2, 3];
        let (expected, _) = taken(1, &items, None);
        assert_eq!(expected.len(), items.iter().sum::<usize>());
        assert!(expected.is_sorted());
        for at_once in [2, 3, 8, 20] {
            let (found, outcome) = taken(at_once, &items, None);
            assert!(outcome.is_ok());
            assert_eq!(found, expected, "{at_once} at once");
        }
    }

    #[test]
    fn a_failure_ends_it_behind_what_came_before() {
        for at_once in [1, 4] {
            let (found, outcome) = taken(at_once, &[2, 1, 3, 1, 1], Some(2));
            assert_eq!(found, [0, 1, 100, 200, 201, 202], "{at_once} at once");
            assert_eq!(outcome.unwrap_err().error.to_string(), "item 2");
        }
        assert!(side_by_side(3, std::iter::empty::<Outcome<()>>(), |(), _: &dyn Fn(())| Ok(()), Ok).is_ok());
        let thrown = side_by_side(2, [Ok(1), Ok(2)].into_iter(), |_, _: &dyn Fn(())| panic!("on purpose"), Ok);
        assert!(thrown.is_err());
    }
}
