//! A cursor over foreign bytes that can only move forward and never past the end.

use crate::tpm::Reject;

/// No structure read here is longer: the largest honest one, an RSA-4096 public area, has under 700 bytes.
const MAX_STRUCTURE_BYTES: usize = 2048;

/// Big-endian reader over one marshalled structure.
pub(super) struct Reader<'a> {
    structure: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading a structure; its name appears in every rejection.
    pub(super) fn new(structure: &'static str, bytes: &'a [u8]) -> Result<Self, Reject> {
        if bytes.len() > MAX_STRUCTURE_BYTES {
            return Err(Reject::TooLarge {
                what: structure,
                limit: MAX_STRUCTURE_BYTES,
                actual: bytes.len(),
            });
        }
        Ok(Self {
            structure,
            rest: bytes,
        })
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Reject> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(Reject::Truncated(self.structure))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Reject::Truncated(self.structure))?;
        self.rest = rest;
        Ok(*head)
    }

    /// UINT8.
    pub(super) fn u8(&mut self) -> Result<u8, Reject> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// UINT16.
    pub(super) fn u16(&mut self) -> Result<u16, Reject> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// UINT32.
    pub(super) fn u32(&mut self) -> Result<u32, Reject> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// UINT64.
    pub(super) fn u64(&mut self) -> Result<u64, Reject> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// The contents of a TPM2B: a 16-bit size and that many bytes.
    pub(super) fn sized(&mut self) -> Result<&'a [u8], Reject> {
        let size = usize::from(self.u16()?);
        self.take(size)
    }

    /// A field has a value that its type does not allow.
    pub(super) fn malformed(&self) -> Reject {
        Reject::MalformedStructure(self.structure)
    }

    /// Nothing may follow the last field.
    pub(super) fn finish(self) -> Result<(), Reject> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Reject::TrailingBytes(self.structure))
        }
    }
}
