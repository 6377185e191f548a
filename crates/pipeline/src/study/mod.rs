//! A study: the arms over one set of repositories at equal trained tokens, several seeds each.
//!
//! Each arm is a run in a folder of its own. Its rows are packed once; then the model is trained on
//! them once a seed, for as many steps as give the trained tokens asked for, and measured on the
//! files held out. What one training gave is written as soon as it is known: a stopped study goes on
//! with the next. The seed changes the order of rows and nothing else.
//!
//! ```text
//! OUT/ARM/            a run
//! OUT/results/ARM-SEED.json
//! OUT/study.json  study.md
//! ```

mod bootstrap;
mod measured;
mod table;
mod trained;

use std::path::PathBuf;

use recon_schema::Sha256;
use recon_schema::file::{read_json, write_bytes, write_json};
use recon_schema::trajectory::Arm;
use recon_train::{Duration, TrainOptions};
use serde::{Deserialize, Serialize};

pub use measured::Measured;
pub use table::Table;
pub use trained::Trained;

use crate::code;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::observe::Observe;
use crate::run::{Ended, Members, run};
use crate::share::Share;
use crate::until::Until;

/// What is compared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Study {
    /// Where everything goes.
    pub out: PathBuf,
    /// The arms; differences are to the first.
    pub arms: Vec<Arm>,
    /// One training a seed and arm.
    pub seeds: Vec<u64>,
    /// Tokens that carry loss, the same for every training up to one step.
    pub trained_tokens: u64,
    /// Files of general text, measured beside the code.
    pub general: Vec<PathBuf>,
    /// The run that every arm shares; arm, seed, length and place of results are the study's.
    pub run: Config,
}

impl Study {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first option that has no meaning.
    pub fn validate(&self) -> Outcome {
        let twice = |at: usize| self.arms[..at].contains(&self.arms[at]);
        let problem = match self {
            _ if self.out.as_os_str().is_empty() => "`out` is missing: a study needs a place for its results",
            _ if self.arms.is_empty() => "`arms` names none",
            _ if (0..self.arms.len()).any(twice) => "`arms` names one twice",
            _ if self.seeds.is_empty() => "`seeds` names none",
            _ if self.trained_tokens == 0 => "`trained_tokens` must be at least 1",
            _ if self.run.holdout.files == 0 && self.run.holdout.repositories == 0.0 => {
                "`run.holdout` holds nothing out: nothing would be measured"
            }
            _ => return self.run.validate(),
        };
        Err(Failure::input_because(problem))
    }

    /// Makes and measures what is not there yet, and compares.
    ///
    /// # Errors
    /// As [`run`]; what was measured until then stays.
    pub fn run(&self, members: &Members, observe: &dyn Observe) -> Outcome<Table> {
        self.validate()?;
        let mut all = Vec::new();
        for &arm in &self.arms {
            let steps = self.steps(arm, members, observe)?;
            for &seed in &self.seeds {
                all.push(self.one(arm, seed, steps, members, observe)?);
            }
        }
        let table = Table::of(&all);
        write_json(&self.out.join("study.json"), &table)?;
        write_bytes(&self.out.join("study.md"), format!("{table}\n").as_bytes())?;
        Ok(table)
    }

    /// Steps of `arm` that give the trained tokens asked for, to the nearest.
    fn steps(&self, arm: Arm, members: &Members, observe: &dyn Observe) -> Outcome<u64> {
        let config = self.config(arm, self.seeds[0], 1);
        let packed = match run(&config, members.clone(), Share::WHOLE, Until::Pack, observe)? {
            Ended::Stage { packed: Some(packed), .. } => packed,
            _ => unreachable!("a run up to packing ends behind it"),
        };
        let a_step = packed.trained_tokens as f64 / packed.rows.max(1) as f64 * self.run.train.step_rows() as f64;
        let steps = (self.trained_tokens as f64 / a_step.max(1.0)).round().max(1.0) as u64;
        tracing::info!(%arm, steps, trained_tokens_a_step = a_step, "steps of equal trained tokens");
        Ok(steps)
    }

    fn config(&self, arm: Arm, seed: u64, steps: u64) -> Config {
        let mut config = self.run.clone();
        config.out = Some(self.out.join(arm.to_string()));
        config.agents.arm = arm;
        config.train = TrainOptions { seed, duration: Duration::Steps(steps), ..config.train };
        config
    }

    fn one(&self, arm: Arm, seed: u64, steps: u64, members: &Members, observe: &dyn Observe) -> Outcome<Trained> {
        let config = self.config(arm, seed, steps);
        let path = self.out.join("results").join(format!("{arm}-{seed}.json"));
        let key = self.key(&config, members)?;
        if path.exists() {
            let known: Trained = read_json(&path, "study")?;
            if known.key == key {
                return Ok(known);
            }
        }
        let summary = match run(&config, members.clone(), Share::WHOLE, Until::Export, observe)? {
            Ended::Whole(summary) => summary,
            Ended::Stage { .. } => unreachable!("nothing stops a run before its end"),
        };
        let root = PathBuf::from(&summary.out);
        let trained = Trained {
            key,
            arm,
            seed,
            trained_tokens: measured::trained_tokens(&root)?,
            tokens: summary.training.tokens,
            seconds: summary.stages.iter().map(|stage| stage.seconds).sum(),
            before: Measured::read(&root, "before")?.with_general(&config.model.name, &config, &self.general)?,
            after: Measured::read(&root, "after")?.with_general(
                &root.join("export/model").display().to_string(),
                &config,
                &self.general,
            )?,
        };
        write_json(&path, &trained)?;
        Ok(trained)
    }

    /// Over the run's configuration, the set by name, the texts, the model, and the program.
    fn key(&self, config: &Config, members: &Members) -> Outcome<Sha256> {
        let mut fields = vec![serde_json::to_vec(config).map_err(Failure::run)?, format!("{members:?}").into_bytes()];
        for path in &self.general {
            fields.push(measured::text(path)?.into_bytes());
        }
        let model = crate::model::files(&config.model.name)?.sha256().map_err(Failure::input)?;
        fields.push(model.to_string().into_bytes());
        let code = code::digest(&["refine", "agents", "engine", "train", "eval", "corpus", "pack"]);
        fields.push(code.to_string().into_bytes());
        Ok(Sha256::of_fields(fields.iter().map(Vec::as_slice)))
    }
}
