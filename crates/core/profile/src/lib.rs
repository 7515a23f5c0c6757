//! Profiles: a platform's contract with its receivers, as data
