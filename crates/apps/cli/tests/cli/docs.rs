//! The manual says what is so.

use crate::place::Place;
use std::path::Path;

fn manual(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../docs")
        .join(name);
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn the_manual_of_the_configuration_holds_the_default_as_it_is() {
    let default = Place::new().run(["config", "default"]).stdout;
    assert!(manual("configuration.md").contains(&format!("```toml\n{default}```\n")));
}

#[test]
fn the_manual_of_the_command_line_names_every_command_and_exit_code() {
    let manual = manual("cli.md");
    let place = Place::new();
    place.run(["man", "pages"]);
    for page in std::fs::read_dir(place.path("pages")).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        let command = page
            .trim_end_matches(".1")
            .replacen("rotate-secret", "rotate_secret", 1)
            .replacen("explain-signature", "explain_signature", 1);
        let command = command
            .replace('-', " ")
            .replace('_', "-")
            .replace("new key", "new-key");
        assert!(manual.contains(&command), "{command}");
    }
    for code in 0..=5 {
        assert!(manual.contains(&format!("| {code} |")), "{code}");
    }
}
