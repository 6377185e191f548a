//! What launchers say of a process: its rank, the number of ranks, and where they meet.
//!
//! | by | rank, world, rank on its node |
//! |---|---|
//! | torchrun, Kubeflow, by hand | `RANK`, `WORLD_SIZE`, `LOCAL_RANK` |
//! | mpirun (Open MPI) | `OMPI_COMM_WORLD_RANK`, `_SIZE`, `_LOCAL_RANK` |
//! | mpiexec (MPICH, Intel) | `PMI_RANK`, `PMI_SIZE`, `MPI_LOCALRANKID` |
//! | srun | `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS`, `SLURM_LOCALID` |
//!
//! The first that is set counts: a process that torchrun started inside a Slurm job has its rank from torchrun. Ranks meet
//! at `MASTER_ADDR:MASTER_PORT`. torchrun's own store listens on that port; then it is the next one, or `RECON_PORT`.

use std::env;

use crate::{Error, Result};

/// What the launcher said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// This process, from 0.
    pub rank: usize,
    /// The number of processes.
    pub world: usize,
    /// This process among those of its machine, from 0: which GPU is its own.
    pub local_rank: usize,
    /// Where ranks meet, where that was said.
    pub master: Option<Master>,
    /// Names this run among others that may come to the same place.
    pub run: String,
    /// Whether mpirun or mpiexec started it.
    pub by_mpi: bool,
}

/// Where ranks meet: rank 0 listens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// Name or address of rank 0's machine.
    pub host: String,
    /// A port that is free there.
    pub port: u16,
}

const TORCH: [&str; 3] = ["RANK", "WORLD_SIZE", "LOCAL_RANK"];
const OPEN_MPI: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"];
const PMI: [&str; 3] = ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"];
const SLURM: [&str; 3] = ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"];

impl Launch {
    /// What this process was told; `None` where nobody launched it as one of several.
    ///
    /// # Errors
    /// [`Error::Environment`] names the variable that is missing or makes no sense.
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from(|name| env::var(name).ok())
    }

    /// As [`Launch::from_environment`], of variables that `get` knows.
    ///
    /// # Errors
    /// As there.
    pub fn from(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        // `sbatch` sets a rank for the script too, which is no rank of a step.
        let is_set = |names: &[&str; 3]| {
            if *names == SLURM { get(names[1]).is_some() } else { get(names[0]).is_some() || get(names[1]).is_some() }
        };
        let Some(names) = [TORCH, OPEN_MPI, PMI, SLURM].into_iter().find(is_set) else { return Ok(None) };
        let [rank, world] = [names[0], names[1]].map(|name| number(&get, name));
        let (rank, world): (usize, usize) = (rank?, world?);
        if world == 0 || rank >= world {
            let problem = format!("is {rank}, expected a number below {} = {world}", names[1]);
            return Err(Error::Environment { variable: names[0].into(), problem });
        }
        let local_rank = if get(names[2]).is_some() { number(&get, names[2])? } else { 0 };
        let master = master(&get)?;
        if world > 1 && master.is_none() && names == TORCH {
            let problem = "is not set: the machine of rank 0, where the ranks meet".into();
            return Err(Error::Environment { variable: "MASTER_ADDR".into(), problem });
        }
        let run = ["TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"].iter().find_map(|name| get(name)).unwrap_or_default();
        Ok(Some(Self { rank, world, local_rank, master, run, by_mpi: names == OPEN_MPI || names == PMI }))
    }
}

fn number<T: std::str::FromStr>(get: impl Fn(&str) -> Option<String>, name: &str) -> Result<T> {
    let wrong = |problem| Error::Environment { variable: name.into(), problem };
    let text = get(name).ok_or_else(|| wrong("is not set".into()))?;
    text.parse().map_err(|_| wrong(format!("is `{text}`, expected a number")))
}

fn master(get: &impl Fn(&str) -> Option<String>) -> Result<Option<Master>> {
    let Some(host) = get("MASTER_ADDR").filter(|host| !host.is_empty()) else { return Ok(None) };
    let port = if get("RECON_PORT").is_some() {
        number(get, "RECON_PORT")?
    } else {
        let port: u16 = number(get, "MASTER_PORT")?;
        let taken = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        port.checked_add(u16::from(taken)).ok_or_else(|| Error::Environment {
            variable: "MASTER_PORT".into(),
            problem: "is the last port, and torchrun listens there itself; set RECON_PORT".into(),
        })?
    };
    Ok(Some(Master { host, port }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Option<Launch>> {
        Launch::from(|name| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).into()))
    }

    fn told(variables: &[(&str, &str)]) -> (usize, usize, usize) {
        let launch = launch(variables).unwrap().unwrap();
        (launch.rank, launch.world, launch.local_rank)
    }

    #[test]
    fn every_launcher_is_understood() {
        assert_eq!(launch(&[]).unwrap(), None);
        let meet = [("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500")];
        let torch = [&meet[..], &[("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")]].concat();
        assert_eq!(told(&torch), (3, 4, 1));
        let in_slurm = [&torch[..], &[("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")]].concat();
        assert_eq!(told(&in_slurm), (3, 4, 1), "the inner launcher counts");
        let mpi = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1")];
        assert_eq!(told(&mpi), (1, 2, 1));
        assert_eq!(told(&[("PMI_RANK", "1"), ("PMI_SIZE", "2")]), (1, 2, 0));
        assert_eq!(told(&[("SLURM_PROCID", "5"), ("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_LOCALID", "1")]), (5, 8, 1));
        assert_eq!(launch(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]).unwrap(), None, "the script of a batch job");
    }

    #[test]
    fn ranks_meet_where_torchrun_does_not_listen() {
        let port = |more: &[(&str, &str)]| {
            let meet = [("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500"), ("RANK", "0"), ("WORLD_SIZE", "2")];
            launch(&[&meet[..], more].concat()).unwrap().unwrap().master.unwrap().port
        };
        assert_eq!(port(&[]), 29500);
        assert_eq!(port(&[("TORCHELASTIC_USE_AGENT_STORE", "True")]), 29501);
        assert_eq!(port(&[("TORCHELASTIC_USE_AGENT_STORE", "True"), ("RECON_PORT", "4000")]), 4000);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let variable = |variables: &[(&str, &str)]| match launch(variables) {
            Err(Error::Environment { variable, .. }) => variable,
            other => panic!("{other:?}"),
        };
        assert_eq!(variable(&[("RANK", "0")]), "WORLD_SIZE");
        assert_eq!(variable(&[("RANK", "four"), ("WORLD_SIZE", "2")]), "RANK");
        assert_eq!(variable(&[("RANK", "2"), ("WORLD_SIZE", "2")]), "RANK");
        assert_eq!(variable(&[("RANK", "0"), ("WORLD_SIZE", "2")]), "MASTER_ADDR");
        let rank = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "node1")];
        assert_eq!(variable(&rank), "MASTER_PORT");
        let last = [&rank[..], &[("MASTER_PORT", "65535"), ("TORCHELASTIC_USE_AGENT_STORE", "True")]].concat();
        assert_eq!(variable(&last), "MASTER_PORT");
    }
}
