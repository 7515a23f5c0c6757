//! What a signature costs: `cargo bench -p ringback-signing`.

use divan::{Bencher, counter::BytesCount};
use ringback_signing::{
    DigestEncoding, SchemeParts, Secret, SecretEncoding, Signable, SignatureScheme,
};

fn main() {
    divan::main();
}

#[divan::bench(args = [512, 4 * 1024, 100 * 1024])]
fn standard(bencher: Bencher<'_, '_>, bytes: usize) {
    let scheme = SignatureScheme::try_new(SchemeParts {
        header: "webhook-signature".to_owned(),
        signed: "{id}.{timestamp}.{body}".parse().expect("a known template"),
        value: "v1,{signature}".to_owned(),
        digest: DigestEncoding::Base64,
        secret: SecretEncoding::Base64After("whsec_".to_owned()),
        several: Some(" ".to_owned()),
    })
    .expect("a known scheme");
    let secrets: [Secret; 1] = [scheme.new_secret(&[7; 32])];
    let body = vec![b'x'; bytes];
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        let what = Signable {
            id: "evt_01JZ0000000000000000000000",
            timestamp_seconds: 1_767_225_600,
            body: &body,
        };
        scheme.sign(&secrets, what)
    });
}
