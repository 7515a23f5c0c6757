//! What outlives a release: queue messages and stored records, versioned
