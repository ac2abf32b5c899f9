#![doc = include_str!("../README.md")]

/// Largest message any process decodes, bytes. A whole shard in one range answer (2 MB with its proof) and the evidence of
/// a development network's nodes fit well; a peer that announces more is refused before anything is allocated.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// Largest `data` of one [`v1::Chunk`] or of a [`v1::ShardChunk`], or one part of a `PutShard` stream, bytes.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;

/// The compiled descriptors of every file of the package, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/probity_descriptor.bin"));

/// Package `probity.v1`: messages, and a client and a server module for each service.
// Generated: its documentation is the comments of the .proto file, and not every field has one there.
#[allow(missing_docs, reason = "generated from probity.proto")]
pub mod v1 {
    tonic::include_proto!("probity.v1");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use prost::Message;

    use super::*;

    #[test]
    fn the_largest_range_answer_fits_the_message_limit() {
        let answer = v1::GetRangeResponse {
            data: vec![0xff; 2_031_616],
            lemmas: vec![vec![0xff; 32]; 16],
            session: Some(v1::SessionVoucher {
                certificate: vec![0xff; 512],
                signature: vec![0xff; 64],
            }),
        };
        assert!(answer.encoded_len() < MAX_MESSAGE_BYTES);
    }

    #[test]
    fn a_put_starts_with_the_shard_id_and_goes_on_with_data() {
        let first = v1::PutShardRequest {
            part: Some(v1::put_shard_request::Part::Shard(v1::ShardId {
                deal: 7,
                slot: 2,
                stripe: 11,
            })),
        };
        let decoded = v1::PutShardRequest::decode(first.encode_to_vec().as_slice()).unwrap();
        assert_eq!(decoded, first);
    }

    #[test]
    fn the_descriptor_set_names_every_service() {
        let text = String::from_utf8_lossy(FILE_DESCRIPTOR_SET);
        for service in ["StorageNode", "Oracle", "Committee"] {
            assert!(text.contains(service), "{service} is missing");
        }
    }
}
