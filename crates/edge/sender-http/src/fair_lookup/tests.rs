use super::*;
use async_trait::async_trait;
use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Names that begin with `hangs` are never answered for; `fails` has no address, and `panics` is our own mistake.
#[derive(Default)]
struct Scripted {
    begun: AtomicUsize,
}

#[async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        match name {
            "fails" => Err(io::Error::other("no such name")),
            "panics" => panic!("a mistake of ours"),
            name if name.starts_with("hangs") => pending().await,
            name if name.starts_with("late") => {
                sleep(Duration::from_secs(10)).await;
                Ok(vec![Ipv4Addr::LOCALHOST.into()])
            }
            _ => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        }
    }
}

fn fair() -> (FairLookup, Arc<Scripted>) {
    let scripted = Arc::new(Scripted::default());
    (FairLookup::new(scripted.clone(), TIME_LIMIT), scripted)
}

/// Has each of so many names asked for, by somebody who soon waits.
async fn ask_for_hanging(fair: &FairLookup, names: std::ops::Range<usize>) {
    for number in names {
        let fair = fair.clone();
        tokio::spawn(async move { fair.addresses(&format!("hangs-{number}")).await });
    }
    sleep(Duration::from_millis(1)).await;
}

async fn time_of(fair: &FairLookup, name: &str) -> (Duration, Answer) {
    let begun_at = Instant::now();
    let answer = fair.addresses(name).await;
    (begun_at.elapsed(), answer)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_names_that_hang_keep_no_name_that_answers_from_being_looked_up() {
    let (fair, _) = fair();
    ask_for_hanging(&fair, 0..100).await;
    // Nobody ever asked for it before, so it stands in line behind them all.
    let (took, answer) = time_of(&fair, "new.example").await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(took <= Duration::from_secs(1), "{took:?}");
    let (took, answer) = time_of(&fair, "new.example").await;
    assert!(answer.is_ok());
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_has_answered_has_a_place_however_many_others_hang() {
    let (fair, _) = fair();
    fair.addresses("good.example").await.unwrap();
    ask_for_hanging(&fair, 0..1000).await;
    for _ in 0..20 {
        let (took, answer) = time_of(&fair, "good.example").await;
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(took, Duration::ZERO);
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_did_not_answer_in_time_have_few_places_of_their_own() {
    let (fair, scripted) = fair();
    // Late ones end, so that they can be asked for again.
    let ask = |number: usize| {
        let fair = fair.clone();
        tokio::spawn(async move { fair.addresses(&format!("late-{number}")).await })
    };
    for answer in (0..20).map(ask).collect::<Vec<_>>() {
        assert!(matches!(
            answer.await.unwrap(),
            Err(LookupFault::TimedOut(TIME_LIMIT))
        ));
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scripted.begun.swap(0, Ordering::SeqCst), 20);
    let (mut slow, mut timed_out) = (0, 0);
    for answer in (0..20).map(ask).collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Err(LookupFault::Slow) => slow += 1,
            Err(LookupFault::TimedOut(_)) => timed_out += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(scripted.begun.load(Ordering::SeqCst), SLOW_MAX);
    assert_eq!((slow, timed_out), (20 - SLOW_MAX, SLOW_MAX));
    // Forgotten after a while: then they stand in line with the others.
    sleep(SLOW_FOR).await;
    ask(0).await.unwrap().unwrap_err();
    assert_eq!(scripted.begun.load(Ordering::SeqCst), SLOW_MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_could_not_begin_is_told_from_one_that_got_no_answer() {
    let (fair, scripted) = fair();
    ask_for_hanging(&fair, 0..LATE_MAX + UNPROVEN_MAX).await;
    sleep(TIME_LIMIT).await;
    assert_eq!(
        scripted.begun.load(Ordering::SeqCst),
        LATE_MAX + UNPROVEN_MAX
    );
    let (took, answer) = time_of(&fair, "new.example").await;
    assert!(matches!(answer, Err(LookupFault::NoPlace)), "{answer:?}");
    assert_eq!(took, PLACE_WAIT_MAX);
    let (took, answer) = time_of(&fair, "hangs-0").await;
    assert!(
        matches!(answer, Err(LookupFault::TimedOut(_))),
        "{answer:?}"
    );
    assert_eq!(took, TIME_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_once_for_everyone_who_asks_meanwhile() {
    let (fair, scripted) = fair();
    let ask = |_| {
        let fair = fair.clone();
        tokio::spawn(async move { fair.addresses("late.example").await })
    };
    for answer in (0..50).map(ask).collect::<Vec<_>>() {
        answer.await.unwrap().unwrap_err();
    }
    assert_eq!(scripted.begun.load(Ordering::SeqCst), 1);
    // Whoever asked is gone; the lookup goes on, and tells who asks now.
    sleep(Duration::from_secs(5)).await;
    fair.addresses("late.example").await.unwrap();
    assert_eq!(scripted.begun.load(Ordering::SeqCst), 1);
    // What has ended is told to nobody who asks later.
    for count in 2..5 {
        fair.addresses("good.example").await.unwrap();
        assert_eq!(scripted.begun.load(Ordering::SeqCst), count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_fails_or_breaks_leaves_the_name_free() {
    let (fair, scripted) = fair();
    for _ in 0..3 {
        let answer = fair.addresses("fails").await;
        assert!(matches!(answer, Err(LookupFault::Failed(_))), "{answer:?}");
        let answer = fair.addresses("panics").await;
        assert!(matches!(answer, Err(LookupFault::Abandoned)), "{answer:?}");
    }
    assert_eq!(scripted.begun.load(Ordering::SeqCst), 6);
    assert!(fair.0.known().under_way.is_empty());
    assert_eq!(fair.0.prompt.available_permits(), PROMPT_MAX);
    assert_eq!(fair.0.unproven.available_permits(), UNPROVEN_MAX);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_names_is_bounded_and_the_oldest_make_room() {
    let mut names = Names::new(10, SLOW_FOR);
    for number in 0..100 {
        names.put(&format!("name-{number}").into());
        sleep(Duration::from_millis(1)).await;
        assert!(names.since.len() <= 10);
    }
    assert!(names.contain("name-99") && names.contain("name-90"));
    assert!(!names.contain("name-89"));
    sleep(SLOW_FOR).await;
    assert!(!names.contain("name-99"));
}
