//! The wire contract of the event router, generated from `proto/twinroute`.
//!
//! These types appear only at the wire edge of the services; inside, they use the domain types of `twinroute-common`.

/// What happened to one entity in one committed transaction.
pub mod event {
    /// Version 1.
    pub mod v1 {
        #![allow(
            missing_docs,
            unreachable_pub,
            clippy::allow_attributes_without_reason,
            clippy::too_many_lines,
            reason = "generated code"
        )]
        tonic::include_proto!("twinroute.event.v1");
    }
}

/// The capture stream and its unary companions.
pub mod capture {
    /// Version 1.
    pub mod v1 {
        #![allow(
            missing_docs,
            unreachable_pub,
            clippy::allow_attributes_without_reason,
            clippy::too_many_lines,
            clippy::large_enum_variant,
            reason = "generated code"
        )]
        tonic::include_proto!("twinroute.capture.v1");
    }
}

/// Endpoints, event routes and the route table.
pub mod routes {
    /// Version 1.
    pub mod v1 {
        #![allow(
            missing_docs,
            unreachable_pub,
            clippy::allow_attributes_without_reason,
            clippy::too_many_lines,
            clippy::large_enum_variant,
            reason = "generated code"
        )]
        tonic::include_proto!("twinroute.routes.v1");
    }
}

/// The protocol as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
