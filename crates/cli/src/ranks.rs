//! How this process becomes one of the ranks of a training.
//!
//! Input: what the launcher set in the environment. Output: the connection to the other ranks, which run the same program,
//! and the GPU that is this rank's own.

use recon_comm::{Communicator, Launch};
use recon_pipeline::{Failure, Outcome, program};
use recon_train::{Error, ParallelOptions};

/// What the launcher said; nothing for a process of its own.
pub(crate) fn launched() -> Outcome<Option<Launch>> {
    Ok(Launch::from_environment().map_err(Error::from)?)
}

/// Whether this process is the first of its run, as far as its environment says.
pub(crate) fn is_first() -> bool {
    Launch::from_environment().ok().flatten().is_none_or(|launch| launch.rank == 0)
}

/// Meets the other ranks of this run.
///
/// # Errors
/// The ranks that did not come, or the one that runs another program.
pub(crate) fn meet(launch: Option<&Launch>, options: &ParallelOptions) -> Outcome<Box<dyn Communicator + Send>> {
    let Some(launch) = launch else { return Ok(Box::new(recon_comm::Solo)) };
    let comm = connect(launch, options).map_err(Error::from)?;
    comm.agree("program", &program()).map_err(Error::from)?;
    Ok(comm)
}

#[cfg(feature = "mpi")]
fn connect(launch: &Launch, options: &ParallelOptions) -> recon_comm::Result<Box<dyn Communicator + Send>> {
    if launch.by_mpi && launch.world > 1 {
        return recon_comm::mpi::join(options.timeout());
    }
    recon_comm::join(launch, options.timeout())
}

#[cfg(not(feature = "mpi"))]
fn connect(launch: &Launch, options: &ParallelOptions) -> recon_comm::Result<Box<dyn Communicator + Send>> {
    recon_comm::join(launch, options.timeout())
}

/// The device of this rank, where `cuda` was asked for: of its machine's GPUs the one with its number.
pub(crate) fn own_device(device: &str, launch: Option<&Launch>) -> String {
    match launch {
        Some(launch) if device == "cuda" && launch.world > 1 => format!("cuda:{}", launch.local_rank),
        _ => device.into(),
    }
}

/// Tells the other ranks of a failure before it is returned.
pub(crate) fn or_give_up<T>(comm: &dyn Communicator, outcome: Outcome<T>) -> Outcome<T> {
    outcome.inspect_err(|failure: &Failure| comm.give_up(&failure.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_of_a_machine_has_a_gpu_of_its_own() {
        let launch = |world| Launch { rank: 5, world, local_rank: 1, master: None, run: String::new(), by_mpi: false };
        assert_eq!(own_device("cuda", Some(&launch(8))), "cuda:1");
        assert_eq!(own_device("cuda", Some(&launch(1))), "cuda");
        assert_eq!(own_device("cuda:3", Some(&launch(8))), "cuda:3");
        assert_eq!(own_device("cpu", Some(&launch(8))), "cpu");
        assert_eq!(own_device("cuda", None), "cuda");
    }
}
