//! What tests break on purpose, to see that the drill notices. Debug builds only; a release build refuses the variable.

use std::{env, sync::OnceLock, time::Duration};

/// Names a breakage.
pub(crate) const VARIABLE: &str = "RINGBACK_SABOTAGE";

/// How long an acknowledged message is left unhandled: acknowledgements are gathered before they go out, and the harm is done
/// only when a worker dies between the two.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// Whether messages are acknowledged before they are handled.
///
/// # Panics
///
/// When the variable names another breakage: a test that misspells one must not pass.
pub(crate) fn acknowledges_first() -> bool {
    static CHOSEN: OnceLock<bool> = OnceLock::new();
    *CHOSEN.get_or_init(|| match env::var(VARIABLE).as_deref() {
        Ok("acknowledges-first") => true,
        Ok(other) => {
            panic!("{VARIABLE} names no breakage: `{other}`; there is `acknowledges-first`")
        }
        Err(_) => false,
    })
}
