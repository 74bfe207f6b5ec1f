//! Bytes that mostly fit where a pointer to them would be: keys and rows of counts, ids, timestamps.

use std::fmt;
use std::ops::Deref;

/// As many as fit beside tag and length into the room of three pointers.
const INLINE: usize = 22;

/// Owned bytes; short ones cost no allocation.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Small {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<[u8]>),
}

const _: () = assert!(size_of::<Small>() <= 24);

impl Deref for Small {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Small {
    #[inline]
    fn from(from: &[u8]) -> Self {
        if from.len() > INLINE {
            return Self::Heap(from.into());
        }
        let mut bytes = [0; INLINE];
        bytes[..from.len()].copy_from_slice(from);
        Self::Inline { len: from.len() as u8, bytes }
    }
}

impl fmt::Debug for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_come_back() {
        let bytes: Vec<u8> = (0..100).collect();
        for len in 0..bytes.len() {
            let small = Small::from(&bytes[..len]);
            assert_eq!(&*small, &bytes[..len]);
            assert_eq!(matches!(small, Small::Heap(_)), len > 22);
        }
    }
}
