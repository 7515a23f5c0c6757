//! A frame: a number of parts, each a number of bytes. Big-endian 32-bit counts before each.

use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The parts of a call or an answer.
pub(crate) type Parts = Vec<Bytes>;

/// Bytes of one part: a dead letter with the largest body and the longest history fits many times over.
const PART_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Parts of one frame: more than a page has entries, with room for what goes before them.
const PARTS_MAX: u32 = 20_000;

/// Reads a frame; nothing when the other side has closed in order.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Parts>> {
    let count = match from.read_u32().await {
        Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        count => count?,
    };
    if count > PARTS_MAX {
        return Err(too_large("parts"));
    }
    let mut parts = Parts::with_capacity(count as usize);
    for _ in 0..count {
        let length = from.read_u32().await?;
        if length > PART_BYTES_MAX {
            return Err(too_large("bytes in a part"));
        }
        let mut part = vec![0; length as usize];
        from.read_exact(&mut part).await?;
        parts.push(part.into());
    }
    Ok(Some(parts))
}

/// Writes a frame.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), parts: &[Bytes]) -> io::Result<()> {
    let count = |length: usize| u32::try_from(length).map_err(|_| too_large("bytes"));
    let mut frame = Vec::with_capacity(4 + parts.iter().map(|part| 4 + part.len()).sum::<usize>());
    frame.extend(count(parts.len())?.to_be_bytes());
    for part in parts {
        frame.extend(count(part.len())?.to_be_bytes());
        frame.extend_from_slice(part);
    }
    to.write_all(&frame).await?;
    to.flush().await
}

fn too_large(of_what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("too many {of_what} in a frame"),
    )
}
