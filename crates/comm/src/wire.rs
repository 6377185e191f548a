//! Frames on a socket: one byte of kind, the number of the exchange, the length, the bytes.
//!
//! Whole numbers are little-endian. Invariant: nothing is allocated beyond a limit that the reader gives, so what is no
//! rank cannot make it run out of memory.

use std::io::{self, ErrorKind, Read, Write};

use crate::mesh::Frame;

const MESSAGE: u8 = 0;
const GAVE_UP: u8 = 1;
const TOLD: u8 = 2;
const GONE: u8 = 3;
const HEADER_BYTES: usize = 17;

pub(crate) fn write(to: &mut impl Write, frame: &Frame) -> io::Result<()> {
    let (kind, exchange, bytes): (u8, u64, &[u8]) = match frame {
        Frame::Message { exchange, bytes } => (MESSAGE, *exchange, bytes),
        Frame::GaveUp { reason } => (GAVE_UP, 0, reason.as_bytes()),
        Frame::Told { line } => (TOLD, 0, line.as_bytes()),
        Frame::Gone => (GONE, 0, &[]),
    };
    let mut header = [0; HEADER_BYTES];
    header[0] = kind;
    header[1..9].copy_from_slice(&exchange.to_le_bytes());
    header[9..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    to.write_all(&header)?;
    to.write_all(bytes)?;
    to.flush()
}

/// The next frame, of at most `most_bytes`.
pub(crate) fn read(from: &mut impl Read, most_bytes: u64) -> io::Result<Frame> {
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header)?;
    let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let (exchange, length) = (word(1), word(9));
    let invalid = || io::Error::new(ErrorKind::InvalidData, "it is no rank");
    if header[0] > GONE || length > most_bytes {
        return Err(invalid());
    }
    // Room grows with what has come, not with what was announced.
    let mut bytes = Vec::new();
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let text = |bytes| String::from_utf8(bytes).map_err(|_| invalid());
    Ok(match header[0] {
        MESSAGE => Frame::Message { exchange, bytes },
        GAVE_UP => Frame::GaveUp { reason: text(bytes)? },
        TOLD => Frame::Told { line: text(bytes)? },
        _ => Frame::Gone,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_written() {
        let frames = [
            Frame::Message { exchange: 7, bytes: vec![1, 2, 3] },
            Frame::Message { exchange: u64::MAX, bytes: vec![] },
            Frame::GaveUp { reason: "no space left".into() },
            Frame::Told { line: "rank 1 of 2 was lost".into() },
            Frame::Gone,
        ];
        let mut wire = Vec::new();
        frames.iter().for_each(|frame| write(&mut wire, frame).unwrap());
        let mut rest = wire.as_slice();
        for frame in &frames {
            assert_eq!(&read(&mut rest, 64).unwrap(), frame);
        }
        assert_eq!(read(&mut rest, 64).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_rank_is_refused() {
        assert_eq!(read(&mut &b"GET / HTTP/1.1\r\nHost: x\r\n"[..], 64).unwrap_err().kind(), ErrorKind::InvalidData);
        let mut wire = Vec::new();
        write(&mut wire, &Frame::Message { exchange: 0, bytes: vec![0; 65] }).unwrap();
        assert_eq!(read(&mut wire.as_slice(), 64).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(&mut &wire[..40], 65).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
