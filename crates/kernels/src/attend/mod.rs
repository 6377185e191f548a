//! What training attention and paged attention share: heads, and tiles of queries that see blocks of keys.

#[cfg(recon_device)]
pub(crate) mod device;
mod heads;
mod tile;

pub(crate) use heads::Heads;
pub(crate) use tile::{Attended, KEY_BLOCK, KEY_GRAIN, QUERY_BLOCK, QueryTile};
