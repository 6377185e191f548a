//! TensorBoard event files: scalars as TFRecords of `tensorboard.Event` messages.
//!
//! A record is `u64 length | u32 masked crc32c(length) | data | u32 masked crc32c(data)`, little-endian; the
//! mask rotates right by 15 and adds `0xa282ead8`. Of the messages only what scalars need is
//! written: `Event {1: wall_time double, 2: step int64, 3: file_version string, 5: summary}`,
//! `Summary {1: value}`, `Value {1: tag string, 2: simple_value float}`.
//!
//! Source: TensorFlow's `record_writer.h`, `event.proto`, `summary.proto`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// An event file of this process.
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Creates the next event file below `directory`: `events.out.tfevents.SECONDS.COUNT`. Several
    /// files of one run are read as one, in the order of their names; where steps repeat after a
    /// resume TensorBoard shows the later ones.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(|source| Error::Write { path: directory.into(), source })?;
        let seconds = now_seconds() as u64;
        let mut count = 0;
        loop {
            let path = directory.join(format!("events.out.tfevents.{seconds:010}.{count}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut events = Self { path, file };
                    let version = string_field(3, "brain.Event:2");
                    events.record(&[double_field(1, now_seconds()), version].concat())?;
                    return Ok(events);
                }
                Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => count += 1,
                Err(source) => return Err(Error::Write { path, source }),
            }
        }
    }

    /// Appends `values` of `step`.
    pub(crate) fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        let value = |&(tag, value): &(&str, f64)| {
            bytes_field(1, &[string_field(1, tag), float_field(2, value as f32)].concat())
        };
        let summary: Vec<u8> = values.iter().flat_map(value).collect();
        let event = [double_field(1, now_seconds()), varint_field(2, step), bytes_field(5, &summary)];
        self.record(&event.concat())
    }

    fn record(&mut self, data: &[u8]) -> Result<()> {
        self.file.write_all(&framed(data)).map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()].concat()
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), bit by bit: a few hundred bytes a step.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn key(field: u64, wire_type: u64) -> Vec<u8> {
    varint(field << 3 | wire_type)
}

fn varint_field(field: u64, value: u64) -> Vec<u8> {
    [key(field, 0), varint(value)].concat()
}

fn double_field(field: u64, value: f64) -> Vec<u8> {
    [key(field, 1), value.to_le_bytes().to_vec()].concat()
}

fn bytes_field(field: u64, value: &[u8]) -> Vec<u8> {
    [key(field, 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn string_field(field: u64, value: &str) -> Vec<u8> {
    bytes_field(field, value.as_bytes())
}

fn float_field(field: u64, value: f32) -> Vec<u8> {
    [key(field, 5), value.to_le_bytes().to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn the_first_record_is_the_one_every_event_file_opens_with() {
        // Field 1, wire type 1; field 3, wire type 2, 13 bytes.
        let data = [double_field(1, 0.0), string_field(3, "brain.Event:2")].concat();
        assert_eq!(data[..9], [0x09, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&data[9..], b"\x1a\x0dbrain.Event:2");
        assert_eq!(framed(&data).len(), 8 + 4 + 24 + 4);
        assert_eq!(framed(&data)[..8], 24_u64.to_le_bytes());
    }

    #[test]
    fn large_steps_take_several_bytes() {
        assert_eq!(varint_field(2, 300), [0x10, 0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }

    #[test]
    fn two_files_in_one_second_do_not_overwrite_each_other() {
        let directory = tempfile::tempdir().unwrap();
        for step in [1, 2] {
            EventFile::create(directory.path()).unwrap().scalars(step, &[("loss_nats", 2.5)]).unwrap();
        }
        let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(files.len(), 2);
    }
}
