//! This oracle's own revocation notices.

use alloy::primitives::Address;
use verifier::cbor;
use verifier::revocation::SignedNotice;

use super::{Store, StoreError, int};

impl Store {
    /// All of an issuer, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn notices(&self, issuer: Address) -> Result<Vec<SignedNotice>, StoreError> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT notice FROM notices WHERE issuer = ? ORDER BY sequence")
                .bind(issuer.as_slice())
                .fetch_all(&self.read)
                .await?;
        rows.iter()
            .map(|bytes| Ok(cbor::decode("notice", bytes)?))
            .collect()
    }

    /// Adds one. Its number must be new: two notices with one number would be an equivocation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_notice(
        &self,
        issuer: Address,
        sequence: u64,
        notice: &SignedNotice,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO notices VALUES (?, ?, ?)")
            .bind(issuer.as_slice())
            .bind(int(sequence))
            .bind(cbor::encode(notice))
            .execute(&self.write)
            .await?;
        Ok(())
    }
}
