//! From a stripe's bytes to shards and their roots, and back. Protocol: section 2.

use std::{fs::File, path::Path};

use prover::{
    commit,
    erasure::{Codec, ErasureError},
};
use verifier::{Slot, inventory::ShardRoots};

use crate::{error::GatewayError, geometry::Geometry};

/// Shards of one stripe, by slot; what could not be had is missing.
pub(crate) type Shards = Vec<Option<Vec<u8>>>;

fn internal(error: impl std::fmt::Display) -> GatewayError {
    GatewayError::Internal(error.to_string())
}

/// The erasure code of a geometry.
pub(crate) fn codec(geometry: Geometry) -> Result<Codec, GatewayError> {
    Codec::new(geometry.erasure()).map_err(internal)
}

/// Calls `each` with the shards of every stripe of a file, holding one stripe at a time.
pub(crate) fn for_each_stripe(
    file: &Path,
    geometry: Geometry,
    mut each: impl FnMut(u32, Vec<Vec<u8>>) -> Result<(), GatewayError>,
) -> Result<(), GatewayError> {
    let codec = codec(geometry)?;
    let object = File::open(file).map_err(GatewayError::file("read", file))?;
    for (number, stripe) in (0_u32..).zip(codec.stripes(object)) {
        each(number, stripe.map_err(GatewayError::file("read", file))?)?;
    }
    Ok(())
}

/// The roots of one shard. Uses every core.
pub(crate) fn roots(shard: &[u8]) -> Result<ShardRoots, GatewayError> {
    commit::commit(shard)
        .map(ShardRoots::from)
        .map_err(internal)
}

/// The data shards of a stripe, rebuilt where they are missing.
pub(crate) fn data(geometry: Geometry, mut shards: Shards) -> Result<Vec<Vec<u8>>, GatewayError> {
    codec(geometry)?
        .reconstruct_data(&mut shards)
        .map_err(too_few)?;
    Ok(shards
        .into_iter()
        .take(usize::from(geometry.k()))
        .flatten()
        .collect())
}

/// One shard of a stripe, from the others.
pub(crate) fn rebuild(
    geometry: Geometry,
    mut shards: Shards,
    slot: Slot,
) -> Result<Vec<u8>, GatewayError> {
    codec(geometry)?.reconstruct(&mut shards).map_err(too_few)?;
    shards
        .get_mut(usize::from(slot.0))
        .and_then(Option::take)
        .ok_or_else(|| internal(format!("slot {slot} was not rebuilt")))
}

/// Callers have fetched k shards of the right length, so the code can only fail by a defect.
fn too_few(error: ErasureError) -> GatewayError {
    internal(error)
}
