//! Queue and stores in one process and one directory, for no servers at all
