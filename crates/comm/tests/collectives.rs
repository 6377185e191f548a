//! What ranks compute together, over channels and over sockets, and what they say of a rank that fails.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use recon_comm::{Communicator, Error, Group, Launch, Master, Solo, even, join, threads, tree_sum};

type Rank = Box<dyn Communicator + Send>;

const LIMIT: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn launch(rank: usize, world: usize, port: u16) -> Launch {
    let master = Some(Master { host: "127.0.0.1".into(), port });
    Launch { rank, world, local_rank: rank, master, run: "test".into(), by_mpi: false }
}

/// What each rank returns, over each way to connect them.
fn on_ranks<T: Send + 'static>(world: usize, limit: Duration, work: fn(Rank) -> T) -> [Vec<T>; 2] {
    let by_threads =
        threads(world, limit).into_iter().map(|comm| thread::spawn(move || work(comm))).collect::<Vec<_>>();
    let by_threads = by_threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let port = free_port();
    let by_sockets = (0..world)
        .map(|rank| thread::spawn(move || work(join(&launch(rank, world, port), limit).unwrap())))
        .collect::<Vec<_>>();
    [by_threads, by_sockets.into_iter().map(|thread| thread.join().unwrap()).collect()]
}

fn values(rank: usize) -> Vec<f32> {
    (0..1001).map(|at| ((at * 7919 + rank * 31) % 1009) as f32 * 10_f32.powi((at % 9) as i32 - 4) + 1e-3).collect()
}

#[test]
fn sums_are_the_tree_of_the_ranks_to_the_bit() {
    for world in [1, 2, 3, 4] {
        let expected = tree_sum((0..world).map(values).collect());
        let work = |comm: Rank| {
            let mut reduced = values(comm.rank());
            comm.all_reduce_f32(&mut reduced).unwrap();
            let ranges = even(1001, comm.world());
            let own = comm.reduce_scatter_f32(&values(comm.rank()), &ranges).unwrap();
            (reduced, ranges[comm.rank()].clone(), own)
        };
        for ranks in on_ranks(world, LIMIT, work) {
            for (reduced, range, own) in ranks {
                assert_eq!(reduced, expected, "{world} ranks");
                assert_eq!(own, expected[range]);
            }
        }
    }
    let mut alone = values(0);
    Solo.all_reduce_f32(&mut alone).unwrap();
    assert_eq!(alone, values(0));
}

#[test]
fn messages_go_where_they_are_meant_to_however_many_and_large() {
    let work = |comm: Rank| {
        let (rank, world) = (comm.rank(), comm.world());
        for round in 0..50_usize {
            let length = if round == 25 { 3 << 20 } else { round };
            let message = |from: usize, to: usize| vec![(from * 16 + to + round) as u8; length + from + to];
            let received = comm.exchange((0..world).map(|to| message(rank, to)).collect()).unwrap();
            let expected: Vec<_> = (0..world).map(|from| message(from, rank)).collect();
            assert!(received == expected, "rank {rank} in round {round}");
        }
        comm.barrier().unwrap();
        let told = comm.broadcast(2, vec![rank as u8]).unwrap();
        let gathered = comm.gather(1, vec![rank as u8; rank]).unwrap();
        (told, gathered, comm.sum_f64(&[1.0, rank as f64]).unwrap())
    };
    for ranks in on_ranks(4, LIMIT, work) {
        for (rank, (told, gathered, sum)) in ranks.into_iter().enumerate() {
            assert_eq!((told, sum), (vec![2], vec![4.0, 6.0]));
            let all = vec![vec![], vec![1], vec![2; 2], vec![3; 3]];
            assert_eq!(gathered, if rank == 1 { all } else { vec![] });
        }
    }
}

/// The error of every rank but the one that fails, as a person reads it.
fn said(world: usize, limit: Duration, work: fn(Rank) -> Option<Error>) {
    for ranks in on_ranks(world, limit, work) {
        for (rank, error) in ranks.into_iter().enumerate().filter(|(rank, _)| *rank != 2) {
            let said = error.expect("no rank goes on").to_string();
            assert!(said.contains("rank 2"), "rank {rank} says: {said}");
        }
    }
}

#[test]
fn a_rank_that_is_lost_is_named_by_all() {
    said(4, LIMIT, |comm| {
        comm.barrier().unwrap();
        if comm.rank() == 2 { None } else { (0..3).find_map(|_| comm.barrier().err()) }
    });
}

#[test]
fn a_rank_that_gives_up_says_why() {
    let work = |comm: Rank| {
        if comm.rank() == 2 {
            comm.give_up("no space left on device");
            return None;
        }
        comm.barrier().err()
    };
    said(4, LIMIT, work);
    for error in on_ranks(3, LIMIT, work).into_iter().flatten().flatten() {
        let reason = "rank 2 of 3 gave up: no space left on device";
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn a_rank_that_hangs_is_named_within_the_limit() {
    said(4, Duration::from_millis(400), |comm| {
        if comm.rank() == 2 {
            thread::sleep(Duration::from_secs(2));
            return None;
        }
        let start = std::time::Instant::now();
        let error = comm.barrier().err();
        assert!(start.elapsed() < Duration::from_millis(1900), "{:?}", start.elapsed());
        error
    });
}

#[test]
fn the_odd_one_is_named_by_all_and_by_itself() {
    let work = |comm: Rank| {
        comm.agree("seed", "7").unwrap();
        comm.agree("learning rate", if comm.rank() == 2 { "2e-5" } else { "1e-5" }).unwrap_err().to_string()
    };
    for said in on_ranks(4, LIMIT, work).into_iter().flatten() {
        assert_eq!(said, "rank 2 of 4 has another learning rate than the others: 2e-5, not 1e-5");
    }
    let tie = |comm: Rank| comm.agree("seed", if comm.rank() == 0 { "7" } else { "8" }).unwrap_err().to_string();
    for said in on_ranks(2, LIMIT, tie).into_iter().flatten() {
        assert!(said.starts_with("rank 1 of 2") && said.ends_with("8, not 7"), "{said}");
    }
}

#[test]
fn ranks_that_do_not_come_are_named_and_strangers_are_turned_away() {
    let port = free_port();
    let limit = Duration::from_secs(2);
    let ranks: Vec<_> = [0, 1]
        .into_iter()
        .map(|rank| thread::spawn(move || join(&launch(rank, 4, port), limit).map(drop).unwrap_err().to_string()))
        .collect();
    thread::spawn(move || {
        use std::io::Write as _;
        while let Ok(mut stranger) = TcpStream::connect(("127.0.0.1", port)) {
            drop(stranger.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            // Of another run: not rank 2 of this one.
            drop(join(&Launch { run: "other".into(), ..launch(2, 4, port) }, Duration::from_millis(100)));
            thread::sleep(Duration::from_millis(50));
        }
    });
    let said: Vec<String> = ranks.into_iter().map(|rank| rank.join().unwrap()).collect();
    let place = format!("of 4 did not come to 127.0.0.1:{port} within 2 s");
    assert_eq!(said[0], format!("ranks 2, 3 {place}"));
    assert!(said[1].contains(&place), "{}", said[1]);
}

#[test]
fn groups_exchange_among_themselves_while_an_exchange_of_all_is_under_way() {
    let work = |comm: Rank| {
        let rank = comm.rank();
        let all: Vec<usize> = (0..4).collect();
        let early = comm.start(&all, vec![vec![rank as u8]; 4]);
        let pair = Group::new(&*comm, if rank < 2 { vec![1, 0] } else { vec![2, 3] });
        let others = Group::new(&*comm, vec![rank % 2, rank % 2 + 2]);
        let in_pair = pair.all_gather(&[10 + rank as u8]).unwrap();
        let late = comm.start(&all, vec![vec![20 + rank as u8]; 4]);
        let mut sum = [rank as f32];
        others.all_reduce_f32(&mut sum).unwrap();
        let numbers = [pair.number(0), others.number(1)];
        (in_pair.concat(), sum[0], comm.finish(late).unwrap().concat(), comm.finish(early).unwrap().concat(), numbers)
    };
    for ranks in on_ranks(4, LIMIT, work) {
        for (rank, (in_pair, sum, late, early, numbers)) in ranks.into_iter().enumerate() {
            assert_eq!(in_pair, if rank < 2 { [11, 10] } else { [12, 13] }, "in the order of the members");
            assert_eq!(sum, if rank % 2 == 0 { 2.0 } else { 4.0 });
            assert_eq!((late, early), (vec![20, 21, 22, 23], vec![0, 1, 2, 3]));
            assert_eq!(numbers, [if rank < 2 { 1 } else { 2 }, rank % 2 + 2], "in the run");
        }
    }
}

#[test]
fn ranks_that_name_other_members_are_found_out() {
    let work = |comm: Rank| match comm.rank() {
        0 => Group::new(&*comm, vec![0, 1]).barrier(),
        _ => comm.barrier(),
    };
    for ranks in on_ranks(3, Duration::from_secs(5), work) {
        assert!(ranks.iter().take(2).all(|said| said.as_ref().unwrap_err().to_string().contains("another place")));
    }
}
