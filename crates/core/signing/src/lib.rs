//! Signing schemes, secrets, and the sealing of secrets at rest
