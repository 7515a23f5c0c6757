//! Publishes a hundred events and waits for their confirms.
//!
//! `cargo run -p ringback-producer --example publish -- amqp://guest:guest@127.0.0.1:5672`

use ringback_producer::{Job, NewEvent, Producer, PublishError};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: publish BROKER_URL")?;
    let producer = Producer::connect(&url).await?;

    // Publishes in flight together share confirms, which is a lot faster than one after the other.
    let mut publishes = JoinSet::new();
    for number in 0..100 {
        let job = Job::new(format!("task_{number}"))
            .kind("video")
            .status("completed");
        let event = NewEvent::new("acme", "task.completed", job)
            .data(json!({ "video_url": format!("https://cdn.example.com/{number}.mp4") }));
        publishes.spawn(publish_until_confirmed(producer.clone(), event));
    }
    for published in publishes.join_all().await {
        published?;
    }
    producer.close().await;
    eprintln!("100 events are confirmed");
    Ok(())
}

/// Publishing again is safe under the same id, which a [`NewEvent`] keeps.
async fn publish_until_confirmed(producer: Producer, event: NewEvent) -> Result<(), PublishError> {
    loop {
        match producer.publish(event.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_passing() => {
                eprintln!("{error}; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
