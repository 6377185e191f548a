//! Packs documents whose tokens count upwards into the directory given, for
//! `scripts/parity/mds.py` to read with Python.

use std::path::Path;

use recon_pack::{PackDocument, PackOptions, pack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: pack_counted DIR")?;
    let document = |number: u32| {
        let ids: Vec<u32> = (0..10 + number * 53 % 700).map(|at| number * 1000 + at).collect();
        let mask = ids.iter().map(|id| u8::from(id % 3 != 0)).collect();
        PackDocument::new(number.to_string(), ids, mask)
    };
    let options = PackOptions { row_tokens: 512, shard_bytes: 1 << 14, ..PackOptions::default() };
    pack((0..120).map(document), &options, Path::new(&directory))?;
    Ok(())
}
