//! Events in, bytes out: `golden/<profile>-<what>.event.json` gives `<profile>-<what>.body.json`, byte for byte.
//!
//! Every body printed in the four platforms' pages is here, without its white space. A change of any of these bytes breaks
//! receivers and signatures that are out of our reach, so these files are only ever added to.

mod support;

use ringback_profile::DestinationKind;
use std::{fs, path::Path};

#[test]
fn every_golden_event_gives_its_body() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".event.json") else {
            continue;
        };
        let event = fs::read_to_string(directory.join(&file)).unwrap();
        let expected = fs::read_to_string(directory.join(format!("{name}.body.json"))).unwrap();
        let (profile, _) = name.split_once('-').unwrap();
        let profile = support::profile(profile);
        for kind in [DestinationKind::Webhook, DestinationKind::Callback] {
            assert_eq!(
                support::body(&profile, kind, &event),
                expected,
                "{name} as {kind}"
            );
        }
        count += 1;
    }
    assert!(count >= 20, "only {count} golden events were found");
}
