//! Writes the samples of `scripts/parity/mds.py` into the directory given, for Python to read.

use std::path::Path;

use recon_mds::Writer;

#[path = "../tests/samples/mod.rs"]
mod samples;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: write_samples DIR")?;
    let mut writer = Writer::create(Path::new(&directory), samples::columns(), samples::options())?;
    (0..samples::SAMPLES).try_for_each(|i| writer.write(&samples::sample(i)))?;
    writer.finish()?;
    Ok(())
}
