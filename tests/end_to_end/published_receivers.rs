//! The receivers accept known answers and refuse everything else: the control for all tests that rely on their verdicts.

use crate::published::Published;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HINTO: &str = r#"{"jobId":"5f0c2c1e-6d7b-4b7a-9a51-2f1d0c9b8a77","type":"generate","status":"completed","output":{"ref":"é/1"},"error":null,"createdAt":"2026-06-01T10:00:00Z","completedAt":"2026-06-01T10:01:30Z"}"#;
const HINTO_SIGNATURE: &str = "ff90500d44bb8a2fe32506929010708295f4d797d5f528c909d3bccc7c438b50";
const VIDEOPILOT: &str = r#"{"event":"render.completed","data":{"render_job_id":"render_t1","video_id":"video_t1","status":"completed","output_url":"https://cdn.example/v.mp4","duration":87.5,"file_size":25690112,"quality":"high"},"timestamp":"2024-01-15T10:43:30.000Z"}"#;
const VIDEOPILOT_SIGNATURE: &str =
    "sha256=bc05508150813d6355e8d48bacb0c12dbd392eb54cd15917423f62eb88377af6";
const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

async fn status_of(
    receivers: &Published,
    receiver: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", receivers.port(receiver)))
        .await
        .unwrap();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn flipped(signature: &str) -> String {
    signature.replace('b', "c")
}

#[tokio::test]
async fn vp_13_the_same_bytes_verify_in_express_and_in_flask() {
    let receivers = Published::start();
    for receiver in ["videopilot4", "videopilot5", "videopilot_flask"] {
        let check = async |signature: &str, body: &str| {
            let headers = [("X-VideoPilot-Signature", signature)];
            status_of(&receivers, receiver, "/webhook", &headers, body).await
        };
        assert_eq!(
            check(VIDEOPILOT_SIGNATURE, VIDEOPILOT).await,
            200,
            "{receiver}"
        );
        assert_eq!(check(&flipped(VIDEOPILOT_SIGNATURE), VIDEOPILOT).await, 401);
        assert_eq!(
            check(VIDEOPILOT_SIGNATURE, &VIDEOPILOT.replace("87.5", "87.50")).await,
            401
        );
        let unsigned = status_of(&receivers, receiver, "/webhook", &[], VIDEOPILOT).await;
        assert_eq!(unsigned, 500, "the published code throws");
    }
}

#[tokio::test]
async fn known_answers_are_accepted_and_anything_else_refused() {
    let receivers = Published::start();

    for receiver in ["hinto4", "hinto5"] {
        let check = async |signature: &str, body: &str| {
            let headers = [("X-Hinto-Signature", signature)];
            status_of(&receivers, receiver, "/webhook", &headers, body).await
        };
        assert_eq!(check(HINTO_SIGNATURE, HINTO).await, 200, "{receiver}");
        assert_eq!(check(&flipped(HINTO_SIGNATURE), HINTO).await, 401);
        assert_eq!(check(HINTO_SIGNATURE, &HINTO.replace('é', "e")).await, 401);
        let prefixed = format!("sha256={HINTO_SIGNATURE}");
        assert_eq!(
            check(&prefixed, HINTO).await,
            500,
            "the published code throws"
        );
    }

    let github = async |body: &str| {
        let headers = [("X-Hub-Signature-256", GITHUB_SIGNATURE)];
        status_of(&receivers, "github", "/", &headers, body).await
    };
    assert_eq!(github("Hello, World!").await, 200);
    assert_eq!(github("Hello, World?").await, 401);

    for receiver in [
        "standardwebhooks",
        "standardwebhooks_python",
        "svix",
        "stripe",
        "slack",
        "shopify",
    ] {
        let unsigned = status_of(&receivers, receiver, "/", &[], "{}").await;
        assert_eq!(unsigned, 401, "{receiver}");
    }
    for receiver in ["modelhunter4", "modelhunter5"] {
        let path = "/webhooks/modelhunter";
        let unsigned = status_of(&receivers, receiver, path, &[], "{}").await;
        assert_eq!(unsigned, 401, "{receiver}");
    }

    let seen = receivers.wait_for(18).await;
    let first = seen.iter().find(|seen| seen.receiver == "hinto4").unwrap();
    assert_eq!(first.header("x-hinto-signature"), [HINTO_SIGNATURE]);
    assert_eq!((first.body.as_str(), first.status), (HINTO, 200));
}
