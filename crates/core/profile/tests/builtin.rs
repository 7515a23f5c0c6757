//! The profiles that come along.

use ringback_profile::{Profile, builtin_names};

#[test]
fn every_builtin_profile_is_free_of_faults() {
    for name in builtin_names() {
        let source = Profile::builtin_source(name).unwrap();
        let read = Profile::from_toml(name.parse().unwrap(), source);
        if let Err(faults) = read {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            panic!("{name}: {}", faults.join("\n"));
        }
        assert_eq!(Profile::builtin(name).unwrap().source(), source);
    }
    assert!(Profile::builtin("unknown").is_none());
}
