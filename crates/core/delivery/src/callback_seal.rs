//! A callback's secret in plain text is sealed before anything is kept or queued.

use crate::{Context, port::Occurrence};
use ringback_domain::{Callback, CallbackSecret, Event};
use ringback_signing::{NONCE_BYTES, SealedFor, Secret};

/// What was done about the secret of an event's callback.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallbackSeal {
    /// There is none, or it came sealed.
    Unneeded,
    /// It came in plain text and is sealed now.
    Sealed,
    /// No secret at all can look like this, and the callback was taken out of the event: what is wrong with the member.
    Impossible(String),
}

impl Context {
    /// The event with its callback's secret sealed.
    pub(crate) fn seal_callback(&self, mut event: Event) -> (Event, CallbackSeal) {
        let Some(Callback {
            url,
            secret: Some(secret),
        }) = &mut event.callback
        else {
            return (event, CallbackSeal::Unneeded);
        };
        let CallbackSecret::Plain(plain) = &*secret else {
            return (event, CallbackSeal::Unneeded);
        };
        let opened = match Secret::try_new(plain.clone()) {
            Ok(opened) => opened,
            Err(why) => {
                let why = format!("member `callback.secret` is not accepted: {why}");
                event.callback = None;
                return (event, CallbackSeal::Impossible(why));
            }
        };
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let place = SealedFor::callback(&event.project, url);
        let sealed = self.keys.seal(&opened, &place, nonce);
        self.observer
            .saw(&Occurrence::PlainSecretSealed { sealed: &sealed });
        *secret = CallbackSecret::Sealed(sealed);
        (event, CallbackSeal::Sealed)
    }
}
